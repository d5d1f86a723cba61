'use strict'
// Endless pseudo-random bytes that a test can make again at any position: the AES-128-CTR keystream under the key
// SHA-256("datmount seed " + seed)[0..16) with a counter that starts at 0. The same as SeededBytes in the C# tests.

const { createCipheriv, createHash } = require('crypto')

exports.seededBytes = function (seed, offset, length) {
  const key = createHash('sha256').update('datmount seed ' + seed).digest().subarray(0, 16)
  const counter = Buffer.alloc(16)
  counter.writeBigUInt64BE(BigInt(Math.floor(offset / 16)), 8)
  const skip = offset % 16
  const bytes = createCipheriv('aes-128-ctr', key, counter).update(Buffer.alloc(skip + length))
  return bytes.subarray(skip)
}

/** The bytes a command carries: {base64}, {text} or {seed, size, at?}. */
exports.payload = function (command) {
  if (command.base64 !== undefined) return Buffer.from(command.base64, 'base64')
  if (command.text !== undefined) return Buffer.from(command.text, 'utf8')
  return exports.seededBytes(command.seed, command.at || 0, command.size)
}

exports.sha256 = function (bytes) {
  return createHash('sha256').update(bytes).digest('hex')
}
