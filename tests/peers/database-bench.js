'use strict'
// hyperdb 3.5.0 at work in memory, for the benchmark; the counterpart of tests/BenchPeer's "database".
//
//   node database-bench.js make WRITERS KEYS     prints "put N", "batch N" a second, "peak BYTES", "key HEX", "blocks N", "port N"; ends with standard input
//   node database-bench.js clone KEY PORT BLOCKS KEYS     prints "replicate N", "get N", "list N", "iterate N" a second, "peak BYTES"
//   node database-bench.js authorize COUNT       prints "authorize N" a second, "bytes N" of the feed, "put BYTES" of an entry after it, "peak BYTES"

require('./lib/native-crypto')
const fs = require('fs')
const net = require('net')
const hyperdb = require('hyperdb')
const ram = require('random-access-memory')
const { call } = require('./lib/control')

const DIRECTORIES = 100
const GETS = 10000
const BATCH = 1000

const name = (i) => `dir${i % DIRECTORIES}/file${i}`
const say = (what, figure) => console.log(what + ' ' + figure)
const peak = () => say('peak', Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync('/proc/self/status', 'latin1'))[1]) * 1024)

async function open (key) {
  const db = hyperdb(() => ram(), key)
  await call(db, 'ready')
  return db
}

async function rate (count, work) {
  const started = process.hrtime.bigint()
  await work()
  return count / (Number(process.hrtime.bigint() - started) / 1e9)
}

function seconds (work) {
  return rate(1, work).then((once) => 1 / once)
}

// Both have the same entries afterwards, also of writers that only one of them knew.
async function meet (a, b) {
  const version = async (db) => (await call(db, 'version')).toString('hex')
  do {
    await new Promise((resolve, reject) => {
      const stream = a.replicate()
      stream.pipe(b.replicate()).pipe(stream).on('end', resolve).on('error', reject)
    })
  } while (await version(a) !== await version(b))
}

async function make (writers, keys) {
  const source = await open()
  const all = [source]
  while (all.length < writers) {
    const other = await open(source.key)
    await call(source, 'authorize', other.local.key)
    all.push(other)
  }

  const half = Math.floor(keys / 2 / writers)
  let at = 0
  let putting = 0
  let batching = 0
  for (const db of all) {
    if (db !== source) await meet(source, db)
    putting += await seconds(async () => {
      for (const end = at + half; at < end; at++) await call(db, 'put', name(at), Buffer.from('value ' + at))
    })
    batching += await seconds(async () => {
      for (const end = at + half; at < end;) {
        const list = []
        for (; list.length < BATCH && at < end; at++) list.push({ type: 'put', key: name(at), value: Buffer.from('value ' + at) })
        await call(db, 'batch', list)
      }
    })
    if (db !== source) await meet(db, source)
  }

  say('put', half * writers / putting)
  say('batch', half * writers / batching)
  peak()
  say('key', source.key.toString('hex'))
  say('blocks', source.feeds.reduce((sum, feed) => sum + feed.length, 0))
  const server = net.createServer((socket) => {
    socket.setNoDelay(true)
    const stream = source.replicate({ live: true })
    stream.on('error', () => socket.destroy())
    socket.on('error', () => stream.destroy())
    socket.pipe(stream).pipe(socket)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  say('port', server.address().port)
  process.stdin.on('end', () => process.exit(0)).resume()
}

async function clone (key, port, blocks, keys) {
  const db = await open(Buffer.from(key, 'hex'))
  const replicating = await rate(blocks, async () => {
    const socket = net.connect(port, '127.0.0.1')
    socket.setNoDelay(true)
    const stream = db.replicate({ live: true })
    stream.on('error', () => socket.destroy())
    socket.pipe(stream).pipe(socket)
    while (db.feeds.filter((feed) => feed !== db.local).reduce((sum, feed) => sum + feed.downloaded(), 0) < blocks) await new Promise((resolve) => setTimeout(resolve, 2))
  })
  say('replicate', replicating)
  say('get', await rate(GETS, async () => {
    for (let i = 0; i < GETS; i++) {
      const found = await call(db, 'get', name(i * 7919 % keys))
      if (!found.length) throw new Error('a key is missing: ' + name(i * 7919 % keys))
    }
  }))
  let count = 0
  const listing = await seconds(async () => {
    for (let i = 0; i < DIRECTORIES; i++) count += (await call(db, 'list', 'dir' + i)).length
  })
  say('list', count / listing)
  count = 0
  const iterating = await seconds(() => new Promise((resolve, reject) => {
    const iterator = db.iterator('')
    const next = (error, found) => {
      if (error) return reject(error)
      if (!found) return resolve()
      count++
      iterator.next(next)
    }
    iterator.next(next)
  }))
  if (count !== keys) throw new Error(`${count} of ${keys} keys`)
  say('iterate', count / iterating)
  peak()
  process.exit(0)
}

async function authorize (count) {
  const db = await open()
  const crypto = require('crypto')
  say('authorize', await rate(count, async () => {
    for (let i = 0; i < count; i++) await call(db, 'authorize', crypto.randomBytes(32))
  }))
  const bytes = db.source.byteLength
  await call(db, 'put', 'key', Buffer.from('value'))
  say('bytes', bytes)
  say('entry', db.source.byteLength - bytes)
  peak()
  process.exit(0)
}

const [what, ...rest] = process.argv.slice(2)
const work = { make: () => make(+rest[0], +rest[1]), clone: () => clone(rest[0], +rest[1], +rest[2], +rest[3]), authorize: () => authorize(+rest[0]) }
work[what]().catch((error) => {
  console.error(error)
  process.exit(1)
})
