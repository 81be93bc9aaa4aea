'use strict'
/** The components of WeChat's that this host has. */
exports.BUILT_IN = new Set(['view', 'text', 'image', 'button', 'input', 'textarea', 'scroll-view', 'switch', 'picker'])
