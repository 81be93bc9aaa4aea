//! Files of one's own: made for their owner alone, and where they cannot be used, an error that says whose
//! they are and what to do.

mod access;
mod denied;
mod private;

pub use access::{access, for_owner_only, place_for};
pub use denied::{Denied, Need, owner_beside_root};
pub use private::{create_new, make_folder, open_or_create};
