'use strict'
// One drive of several writers in this process, driven by a test.
//
//   node multi-drive-peer.js
//
// Commands (lib/control.js says how they travel):
//   open {dir, key?}                 without key it is a new one => {key, local}
//   write {path, base64, mtime?}   mkdir {path}   unlink {path}
//   read {path}                      => {base64}
//   waitFor {path, text}             until a file reads so
//   authorize {key}   waitAuthorized {key}
//   listen, connect, disconnect, traffic   lib/links.js

require('./lib/native-crypto')
const { serve, call } = require('./lib/control')
const { linkCommands } = require('./lib/links')
const hyperdrive = require('@jimpick/hyperdrive-hyperdb-backend')

let drive = null

serve({
  async open ({ dir, key }) {
    drive = hyperdrive(dir, key ? Buffer.from(key, 'hex') : null)
    await new Promise((resolve, reject) => {
      drive.on('ready', resolve)
      drive.on('error', reject)
    })
    return { key: drive.key.toString('hex'), local: drive.db.local.key.toString('hex') }
  },

  async write ({ path, base64, mtime }) {
    await call(drive, 'writeFile', path, Buffer.from(base64, 'base64'), mtime ? { mtime, ctime: mtime } : {})
  },

  async mkdir ({ path }) {
    await call(drive, 'mkdir', path)
  },

  async unlink ({ path }) {
    await call(drive, 'unlink', path)
  },

  async read ({ path }) {
    return { base64: (await call(drive, 'readFile', path)).toString('base64') }
  },

  async waitFor ({ path, text }) {
    while (true) {
      const bytes = await call(drive, 'readFile', path).catch(() => null)
      if (bytes && bytes.toString() === text) return
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  },

  async authorize ({ key }) {
    await call(drive, 'authorize', Buffer.from(key, 'hex'))
  },

  async waitAuthorized ({ key }) {
    while (!await call(drive.db, 'authorized', Buffer.from(key, 'hex'))) await new Promise((resolve) => setTimeout(resolve, 20))
  },

  ...linkCommands((replication) => drive.replicate(replication))
})
