// What stands where nothing is yet, or where something went wrong; what to do about it comes through the slot.
Component({
  properties: {
    text: String,
    hint: String,
    /** Something is on its way. */
    busy: Boolean,
  },
})
