// The emoji of the panel, in their groups. The browser client has the same file, as a script: there the name is a global one.
const EMOJI_GROUPS = [
  {
    name: 'faces',
    emoji: '😀 😃 😄 😁 😆 😅 🤣 😂 🙂 🙃 😉 😊 😇 🥰 😍 🤩 😘 😗 😚 😙 😋 😛 😜 🤪 😝 🤑 🤗 🤭 🤫 🤔 🤐 🤨 😐 😑 😶 😏 😒 🙄 😬 😌 😔 😪 🤤 😴 😷 🤒 🤕 🤢 🤮 🤧 🥵 🥶 🥴 😵 🤯 🥳 😎 🤓 🧐 😕 😟 🙁 😮 😯 😲 😳 🥺 😧 😨 😰 😥 😢 😭 😱 😖 😣 😞 😓 😩 😫 🥱 😤 😡 😠 🤬 😈 💀 💩 🤡 👻',
  },
  {
    name: 'gestures',
    emoji: '👍 👎 👌 ✌️ 🤞 🤟 🤙 👈 👉 👆 👇 ☝️ 👋 🖐️ ✋ 👏 🙌 🤲 🤝 🙏 💪 👊 ✊ 🤛 🤜 ✍️ 👀 👂 👄 🙋 🙇 🤦 🤷 💁 🙅 🙆 💃 🕺 🏃 👨‍👩‍👧 👶 👵 👴',
  },
  {
    name: 'hearts',
    emoji: '❤️ 🧡 💛 💚 💙 💜 🖤 💔 💕 💖 💗 💘 💝 💋 🌹 💐 🥀 🎉 🎊 🎈 🎁 🎂 🧧 🏮 🎇 🎆 🧨 🎄 🎀 🎓 🏆 🥇 ⭐ ✨ 🔥 💯 💥 💢 💤 💦',
  },
  {
    name: 'nature',
    emoji: '🐶 🐱 🐭 🐰 🦊 🐻 🐼 🐯 🦁 🐮 🐷 🐸 🐵 🙈 🙉 🙊 🐔 🐧 🐦 🦆 🦉 🐴 🐝 🦋 🐢 🐍 🐲 🐳 🐟 🐑 🐈 🐾 🌱 🌲 🍀 🍁 🌷 🌸 🌻 🌞 🌛 ☀️ ⛅ ☔ ⚡ ❄️ 🌈 🌊',
  },
  {
    name: 'food',
    emoji: '🍎 🍊 🍌 🍉 🍇 🍓 🍒 🍑 🍍 🍅 🌽 🥕 🍞 🍳 🍔 🍟 🍕 🍜 🍚 🍣 🥟 🍲 🍢 🍡 🍦 🍰 🍫 🍬 🍭 🍯 🍼 ☕ 🍵 🍺 🍻 🥂 🍷 🥢',
  },
  {
    name: 'things',
    emoji: '⚽ 🏀 🏓 🏸 🎮 🎲 🀄 🎤 🎧 🎬 🎵 🎨 📷 📱 💻 ⌚ 💡 📖 ✏️ 📌 📅 📦 💰 💳 🔑 🔒 🚗 🚄 ✈️ 🚲 🏠 🏥 🏖️ ⏰ 💊 🛒 ✅ ❌ ❓ ❗ 🚫 🆗',
  },
].map(({ name, emoji }) => ({ name, emoji: emoji.split(' ') }))

if (typeof module === 'object') module.exports = { EMOJI_GROUPS }
