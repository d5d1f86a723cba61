'use strict'
// Makes the old packages compute with libsodium instead of their JavaScript fallback, which is some 50 times slower
// and would make every comparison of speed unfair.
//
// sodium-native 2.x, which they were written for, ships binaries for Node 13 at most. 3.4.1 ships one N-API binary that
// loads in any later Node; the two calls that changed in between are put back here. Load this file before any other
// package (`require('./lib/native-crypto')`, or `node -r` for a program that is not ours).

const fs = require('fs')
const path = require('path')
const { createRequire } = require('module')

const restored = new Set()

function restore (sodium) {
  class StreamXor {
    constructor (nonce, key) {
      this.state = Buffer.alloc(sodium.crypto_stream_xor_STATEBYTES)
      sodium.crypto_stream_xor_init(this.state, nonce, key)
    }

    update (into, message) {
      sodium.crypto_stream_xor_update(this.state, into, message)
    }

    final () {
      sodium.crypto_stream_xor_final(this.state)
    }
  }

  sodium.crypto_stream_xor_instance = (nonce, key) => new StreamXor(nonce, key)

  // hyperdrive hands over a whole 64-byte secret key; 2.x took its first 32 bytes, 3.x refuses it.
  const derive = sodium.crypto_kdf_derive_from_key
  sodium.crypto_kdf_derive_from_key = (subkey, id, context, key) =>
    derive(subkey, id, context, key.subarray(0, sodium.crypto_kdf_KEYBYTES))

  restored.add(sodium)
}

restore(require('sodium-native'))
const dat = path.join(__dirname, '../dat/package.json')
if (fs.existsSync(path.join(__dirname, '../dat/node_modules/sodium-native'))) restore(createRequire(dat)('sodium-native'))

/** Which crypto a package really uses: 'native' or 'javascript'. */
exports.cryptoOf = function (name) {
  const of = createRequire(require.resolve(name))
  return restored.has(of('sodium-universal')) ? 'native' : 'javascript'
}
