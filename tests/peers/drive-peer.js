'use strict'
// One hyperdrive archive of a given release, driven by a test.
//
//   node drive-peer.js --version 9.9|9.16|dat
//
// `dat` is the dat tool's own library: a folder whose files lie in place beside `.dat` (latest: false: flat SLEEP files
// with all versions). It never joins the network here; connections are made as for the others.
//
// Commands (lib/control.js says how they travel):
//   open {dir?, key?, sparse?, sparseMetadata?, latest?, secretDir?}   without dir the archive lives in memory => description
//   importFiles                            (dat) takes in what changed in its folder => description
//   info                                   => description of both feeds, version, crypto, release
//   import {from, directories?}            copies a real folder in, names sorted, times and modes kept => description
//   writeFile {path, payload (lib/seeded.js), mode?, mtime?}   unlink {path}   mkdir {path, mode?}   rmdir {path}
//   writeMany {prefix, seed, count, size}  prefix + number, each with its own piece of the seeded bytes
//   list {version?, hash?}                 every file and directory at a version, as this release sees it
//   stat {path}   readdir {path}           one look-up => {size} or {names}
//   history                                list with hashes for each version from 1
//   read {path, version?, start?, length?} => {sha256, length, base64 if small}
//   update {version}                       until that version is known of
//   stream {path, length}                  reads the file's beginning through the release's own read stream => {length}
//   waitSync {version?, content?, contentLength?}   until metadata to that version, and all content, is here
//   counters {reset?}                      blocks and bytes of both feeds sent and received
//   listen, connect, disconnect, traffic   lib/links.js

const native = require('./lib/native-crypto')
const { serve, options, call } = require('./lib/control')
const { linkCommands } = require('./lib/links')
const { payload, seededBytes, sha256 } = require('./lib/seeded')
const { Counter, Progress, describe, until } = require('./lib/counting')
const { createHash } = require('crypto')
const fs = require('fs')
const path = require('path')
const ram = require('random-access-memory')

const version = options().version
const datModules = path.join(__dirname, 'dat/node_modules')
const release = version === 'dat' ? path.join(datModules, 'hyperdrive') : 'hyperdrive-' + version
const hyperdrive = require(release)

let archive = null
let dat = null
let counters = null

function describeArchive () {
  return {
    release: require(release + '/package.json').version,
    crypto: native.cryptoOf(release),
    key: archive.key.toString('hex'),
    version: archive.version,
    writable: archive.writable,
    metadata: describe(archive.metadata),
    content: describe(archive.content)
  }
}

/** The archive at a version, or as it is now. */
function at (v) {
  return v === undefined || v === null ? archive : archive.checkout(v)
}

/** Adds the content counter as soon as the second feed exists. */
function countContent () {
  if (archive.content && !counters.content) counters.content = new Counter(archive.content)
}

async function contentReady () {
  await new Promise((resolve) => {
    if (archive.content) resolve()
    else archive.once('content', resolve)
  })
  countContent()
}

const hashes = new Map()

/** Hash of a file's bytes, block by block: unlike the release's read stream it has no race when ranges are not yet here. */
async function hashOf (stat) {
  const name = stat.offset + ':' + stat.blocks
  if (hashes.has(name)) return hashes.get(name)
  if (stat.blocks) await contentReady()
  const hash = createHash('sha256')
  for (let i = stat.offset; i < stat.offset + stat.blocks; i++) hash.update(await call(archive.content, 'get', i))
  const result = hash.digest('hex')
  hashes.set(name, result)
  return result
}

async function list (view, withHash) {
  const found = []
  const waiting = ['/']
  while (waiting.length) {
    const dir = waiting.pop()
    for (const name of await call(view, 'readdir', dir)) {
      const file = dir === '/' ? '/' + name : dir + '/' + name
      const stat = await call(view, 'stat', file)
      const entry = { path: file, type: stat.isDirectory() ? 'directory' : 'file', mode: stat.mode, size: stat.size, mtime: +stat.mtime }
      if (stat.isDirectory()) {
        waiting.push(file)
      } else {
        entry.offset = stat.offset
        entry.blocks = stat.blocks
        entry.byteOffset = stat.byteOffset
        if (withHash) entry.sha256 = await hashOf(stat)
      }
      found.push(entry)
    }
  }
  return found
}

async function importFolder (folder, into, directories) {
  const names = fs.readdirSync(folder).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  for (const name of names) {
    const source = path.join(folder, name)
    const target = into + '/' + name
    const stat = fs.lstatSync(source)
    const kept = { mode: stat.mode & 0o777, mtime: Math.floor(stat.mtimeMs), ctime: Math.floor(stat.mtimeMs) }
    if (stat.isDirectory()) {
      if (directories) await call(archive, 'mkdir', target, kept)
      await importFolder(source, target, directories)
    } else if (stat.isFile()) {
      await new Promise((resolve, reject) => {
        const input = fs.createReadStream(source, { highWaterMark: 65536 })
        const output = archive.createWriteStream(target, kept)
        input.on('error', reject)
        output.on('error', reject)
        output.on('finish', resolve)
        input.pipe(output)
      })
    }
  }
}

serve({
  async open ({ dir, key, sparse, sparseMetadata, latest, secretDir }) {
    if (version === 'dat') {
      const choice = { sparse: !!sparse, latest: latest !== false, secretDir }
      if (key) choice.key = key
      // Told nothing, it takes every folder of its own for one whose content lies in the user's files, and writes none.
      if (latest === false) choice.indexing = false
      dat = await new Promise((resolve, reject) => {
        require(path.join(datModules, 'dat-node'))(dir, choice, (error, opened) => error ? reject(error) : resolve(opened))
      })
      archive = dat.archive
    } else {
      archive = hyperdrive(dir || (() => ram()), key ? Buffer.from(key, 'hex') : undefined,
        { sparse: !!sparse, sparseMetadata: !!sparseMetadata, latest: !!latest })
    }
    counters = { metadata: new Counter(archive.metadata), content: null }
    archive.on('content', countContent)
    await call(archive, 'ready')
    countContent()
    return describeArchive()
  },

  info: async () => describeArchive(),

  async import ({ from, directories }) {
    await importFolder(from, '', directories !== false)
    return describeArchive()
  },

  async importFiles () {
    await call(dat, 'importFiles')
    return describeArchive()
  },

  async writeFile (command) {
    const attributes = {}
    if (command.mode !== undefined) attributes.mode = command.mode
    if (command.mtime !== undefined) attributes.mtime = attributes.ctime = command.mtime
    if (command.size > 0x1000000) {
      // Big contents go in piece by piece so that they never exist in memory as a whole.
      const output = archive.createWriteStream(command.path, attributes)
      const done = new Promise((resolve, reject) => output.on('finish', resolve).on('error', reject))
      for (let i = 0; i < command.size; i += 65536) {
        const piece = seededBytes(command.seed, (command.at || 0) + i, Math.min(65536, command.size - i))
        if (!output.write(piece)) await new Promise((resolve) => output.once('drain', resolve))
      }
      output.end()
      await done
    } else {
      await call(archive, 'writeFile', command.path, payload(command), attributes)
    }
    return { version: archive.version }
  },

  async writeMany ({ prefix, seed, count, size }) {
    for (let i = 0; i < count; i++) {
      await call(archive, 'writeFile', prefix + i, seededBytes(seed, i * size, size), {})
    }
    return { version: archive.version }
  },

  async unlink (command) {
    await call(archive, 'unlink', command.path)
    return { version: archive.version }
  },

  async mkdir (command) {
    await call(archive, 'mkdir', command.path, command.mode === undefined ? {} : { mode: command.mode })
    return { version: archive.version }
  },

  async rmdir (command) {
    await call(archive, 'rmdir', command.path)
    return { version: archive.version }
  },

  list: async (command) => ({ entries: await list(at(command.version), command.hash !== false) }),

  stat: async (command) => ({ size: (await call(archive, 'stat', command.path)).size }),

  readdir: async (command) => ({ names: (await call(archive, 'readdir', command.path)).length }),

  async history () {
    const versions = []
    for (let v = 1; v <= archive.version; v++) versions.push(await list(archive.checkout(v), true))
    return { versions }
  },

  async read (command) {
    const stat = await call(at(command.version), 'stat', command.path)
    const start = command.start || 0
    const end = Math.min(stat.size, command.length === undefined ? stat.size : start + command.length)
    if (end <= start) return { length: 0, sha256: sha256(''), base64: '' }
    await contentReady()
    const range = { start: stat.offset, end: stat.offset + stat.blocks }
    const found = start === 0 ? [stat.offset, 0] : await call(archive.content, 'seek', stat.byteOffset + start, range)
    const hash = createHash('sha256')
    const pieces = []
    let index = found[0]
    let skip = found[1]
    let left = end - start
    for (; left > 0; index++) {
      const block = (await call(archive.content, 'get', index)).slice(skip, skip + left)
      skip = 0
      left -= block.length
      hash.update(block)
      if (end - start <= 65536) pieces.push(block)
    }
    return { length: end - start, sha256: hash.digest('hex'), base64: pieces.length ? Buffer.concat(pieces).toString('base64') : undefined }
  },

  async stream (command) {
    let length = 0
    await new Promise((resolve, reject) => {
      const input = archive.createReadStream(command.path)
      input.on('error', reject)
      input.on('end', resolve)
      input.on('data', (piece) => {
        length += piece.length
        if (length < command.length) return
        resolve()
        input.destroy()
      })
    })
    return { length }
  },

  async update ({ version }) {
    if (archive.metadata.length <= version) await call(archive.metadata, 'update', version + 1)
    return describeArchive()
  },

  async waitSync ({ version = 0, content = true, contentLength }) {
    const metadata = new Progress(archive.metadata)
    await until([archive.metadata], () => archive.metadata.length > version && metadata.reached(archive.metadata.length))
    await contentReady()
    if (content) {
      // The content length that the newest entries speak of may be ahead of what the feed has heard so far.
      let end = contentLength || 0
      if (!end) await new Promise((resolve, reject) => {
        const nodes = archive.history()
        nodes.on('data', ({ value }) => { if (value && value.blocks) end = Math.max(end, value.offset + value.blocks) })
        nodes.on('end', resolve)
        nodes.on('error', reject)
      })
      const content = new Progress(archive.content)
      await until([archive.content], () => archive.content.length >= end && content.reached(archive.content.length))
    }
    return describeArchive()
  },

  async counters ({ reset }) {
    countContent()
    const result = { metadata: counters.metadata.get(), content: counters.content ? counters.content.get() : null }
    if (reset) {
      counters.metadata.reset()
      if (counters.content) counters.content.reset()
    }
    return result
  },

  ...linkCommands((replication) => archive.replicate(replication)),

  async close () {
    await call(archive, 'close')
  }
})
