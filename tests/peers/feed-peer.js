'use strict'
// One plain hypercore feed of a given release, driven by a test.
//
//   node feed-peer.js --version 6.9.2|6.26|7.7.1
//
// Commands (lib/control.js says how they travel):
//   open {dir?, key?, sparse?, overwrite?}     without dir the feed lives in memory => description
//   info                                       => description, crypto, release
//   append {blocks: [payload]} | {seed, count, size, batch?}   payload: lib/seeded.js => description
//   get {index, wait?}  getAll {start?, end?}  => {base64?, sha256, length}; getAll hashes the blocks in order
//   update {minLength}  seek {bytes}  clear {start, end}  has {start, end}  download {start, end, linear?}  undownloadAll
//   waitHeld {start?, end}                     until every block of the range is here
//   counters {reset?}                          blocks and bytes sent and received
//   listen, connect, disconnect, traffic       lib/links.js
//   close

const { cryptoOf } = require('./lib/native-crypto')
const { serve, options, call } = require('./lib/control')
const { linkCommands } = require('./lib/links')
const { payload, seededBytes } = require('./lib/seeded')
const { Counter, Progress, describe, held, until } = require('./lib/counting')
const { createHash } = require('crypto')
const ram = require('random-access-memory')

const release = 'hypercore-' + options().version
const hypercore = require(release)

let feed = null
let counter = null
const ranges = []

function describeFeed () {
  return { ...describe(feed), release: require(release + '/package.json').version, crypto: cryptoOf(release) }
}

serve({
  async open ({ dir, key, sparse, overwrite }) {
    feed = hypercore(dir || (() => ram()), key ? Buffer.from(key, 'hex') : undefined, { sparse: !!sparse, overwrite: !!overwrite })
    counter = new Counter(feed)
    await call(feed, 'ready')
    return describeFeed()
  },

  info: async () => describeFeed(),

  async append (command) {
    if (command.blocks) {
      await call(feed, 'append', command.blocks.map(payload))
    } else {
      const batch = command.batch || 64
      for (let at = 0; at < command.count; at += batch) {
        const blocks = []
        for (let i = at; i < Math.min(at + batch, command.count); i++) {
          blocks.push(seededBytes(command.seed, i * command.size, command.size))
        }
        await call(feed, 'append', blocks)
      }
    }
    return describeFeed()
  },

  async get ({ index, wait }) {
    const block = await call(feed, 'get', index, { wait: wait !== false })
    return { base64: block.toString('base64'), length: block.length, sha256: createHash('sha256').update(block).digest('hex') }
  },

  async getAll ({ start = 0, end = feed.length }) {
    const hash = createHash('sha256')
    let length = 0
    for (let i = start; i < end; i++) {
      const block = await call(feed, 'get', i)
      hash.update(block)
      length += block.length
    }
    return { sha256: hash.digest('hex'), length }
  },

  async update ({ minLength }) {
    if (feed.length < minLength) await call(feed, 'update', minLength)
    return describeFeed()
  },

  async seek ({ bytes }) {
    const [index, offset] = await call(feed, 'seek', bytes)
    return { index, offset }
  },

  async clear ({ start, end }) {
    await call(feed, 'clear', start, end)
    return describeFeed()
  },

  has: async ({ start, end }) => ({ held: held(feed, start, end) }),

  async download ({ start, end, linear }) {
    ranges.push(feed.download({ start, end, linear: !!linear }, () => {}))
  },

  async undownloadAll () {
    for (const range of ranges.splice(0)) feed.undownload(range)
  },

  async waitHeld ({ start = 0, end }) {
    const progress = new Progress(feed, start)
    await until([feed], () => feed.length >= end && progress.reached(end))
    return describeFeed()
  },

  async counters ({ reset }) {
    const result = counter.get()
    if (reset) counter.reset()
    return result
  },

  ...linkCommands((replication) => feed.replicate(replication)),

  async close () {
    await call(feed, 'close')
  }
})
