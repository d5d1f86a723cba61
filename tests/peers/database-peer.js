'use strict'
// One hyperdb in this process, driven by a test.
//
//   node database-peer.js
//
// Commands (lib/control.js says how they travel):
//   open {dir?, key?}                without dir it lives in memory; without key it is a new one => {key, local}
//   put {key, value}   del {key}     => {seq}
//   batch {list: [{type, key, value?}]}
//   authorize {key}
//   get {key}                        => {nodes: [{writer, seq, value, deleted}]}
//   keys {prefix?}                   every live key => {keys}
//   wait {key, values}               until a key has exactly these values, in any order => {nodes}
//   waitAuthorized {key}             until a writer may write
//   version                          => {version}
//   listen, connect, disconnect, traffic   lib/links.js

require('./lib/native-crypto')
const { serve, call } = require('./lib/control')
const { linkCommands } = require('./lib/links')
const hyperdb = require('hyperdb')
const ram = require('random-access-memory')

let db = null

async function nodes (key) {
  const found = await call(db, 'get', key)
  return (found || []).filter(Boolean).map((node) => ({
    writer: db.feeds[node.feed].key.toString('hex'),
    seq: node.seq,
    value: node.value ? node.value.toString() : null,
    deleted: !!node.deleted
  }))
}

serve({
  async open ({ dir, key }) {
    db = hyperdb(dir || (() => ram()), key ? Buffer.from(key, 'hex') : null)
    await call(db, 'ready')
    return { key: db.key.toString('hex'), local: db.local.key.toString('hex') }
  },

  async put ({ key, value }) {
    const node = await call(db, 'put', key, Buffer.from(value))
    return { seq: node.seq }
  },

  async del ({ key }) {
    await call(db, 'del', key)
  },

  async batch ({ list }) {
    await call(db, 'batch', list.map((one) => ({ ...one, value: one.value === undefined ? undefined : Buffer.from(one.value) })))
  },

  async authorize ({ key }) {
    await call(db, 'authorize', Buffer.from(key, 'hex'))
  },

  async get ({ key }) {
    return { nodes: await nodes(key) }
  },

  async keys ({ prefix }) {
    const lists = await call(db, 'list', prefix || '')
    return { keys: lists.map((list) => list[0].key) }
  },

  async wait ({ key, values }) {
    const wanted = values.slice().sort().join('\n')
    while (true) {
      const found = await nodes(key)
      if (found.map((node) => String(node.value)).sort().join('\n') === wanted) return { nodes: found }
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  },

  async waitAuthorized ({ key }) {
    while (!await call(db, 'authorized', Buffer.from(key, 'hex'))) await new Promise((resolve) => setTimeout(resolve, 20))
  },

  async version () {
    return { version: (await call(db, 'version')).toString('hex') }
  },

  ...linkCommands((replication) => db.replicate(replication))
})
