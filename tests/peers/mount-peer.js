'use strict'
// A hyperdrive 9.16 archive, all of it on this machine's disk, shown as a folder by fuse-native: what a mount by the Node
// reference is worth. It caches whatever never changes here: listings, what stat says, and where a file's blocks begin.
//
//   node mount-peer.js
//
// Commands (lib/control.js says how they travel):
//   mount {dir, key, mountpoint}   unmount

require('./lib/native-crypto')
const { serve, call } = require('./lib/control')
const Fuse = require('fuse-native')
const hyperdrive = require('hyperdrive-9.16')

let mounted = null

/** Answers a callback-taking operation from a promise. */
function answered (promise, done) {
  promise.then((result) => done(0, result), (error) => done(error.code === 'ENOENT' || /not.*found/i.test(error.message) ? Fuse.ENOENT : Fuse.EIO))
}

function operations (archive) {
  const stats = new Map()
  const listings = new Map()
  const open = new Map()
  let lastHandle = 0

  async function stat (path) {
    let found = stats.get(path)
    if (!found) {
      found = await call(archive, 'stat', path)
      stats.set(path, found)
    }
    return found
  }

  async function list (path) {
    let found = listings.get(path)
    if (!found) {
      found = await call(archive, 'readdir', path)
      listings.set(path, found)
    }
    return found
  }

  async function read (file, buffer, length, position) {
    const end = Math.min(file.stat.size, position + length)
    let at = position
    // Where the reader comes next is nearly always where it left off.
    let [index, skip] = file.at === position
      ? [file.index, file.skip]
      : await call(archive.content, 'seek', file.stat.byteOffset + position, { start: file.stat.offset, end: file.stat.offset + file.stat.blocks })
    while (at < end) {
      const block = await call(archive.content, 'get', index)
      const count = Math.min(block.length - skip, end - at)
      block.copy(buffer, at - position, skip, skip + count)
      at += count
      skip += count
      if (skip < block.length) break
      skip = 0
      index++
    }
    file.at = at
    file.index = index
    file.skip = skip
    return at - position
  }

  return {
    getattr: (path, done) => answered(stat(path), (error, found) => error ? done(error) : done(0, {
      mode: found.mode,
      size: found.size,
      mtime: found.mtime,
      atime: found.mtime,
      ctime: found.ctime,
      nlink: 1,
      uid: process.getuid(),
      gid: process.getgid()
    })),
    readdir: (path, done) => answered(list(path), done),
    open: (path, flags, done) => answered(stat(path).then((found) => {
      open.set(++lastHandle, { stat: found, at: 0, index: found.offset, skip: 0 })
      return lastHandle
    }), done),
    read (path, handle, buffer, length, position, done) {
      const file = open.get(handle)
      if (position >= file.stat.size) return done(0)
      read(file, buffer, length, position).then(done, () => done(Fuse.EIO))
    },
    release (path, handle, done) {
      open.delete(handle)
      done(0)
    }
  }
}

serve({
  async mount ({ dir, key, mountpoint }) {
    const archive = hyperdrive(dir, Buffer.from(key, 'hex'))
    await call(archive, 'ready')
    await new Promise((resolve) => archive.content ? resolve() : archive.once('content', resolve))
    mounted = new Fuse(mountpoint, operations(archive), { kernelCache: true, maxRead: 131072 })
    await call(mounted, 'mount')
    return { version: archive.version }
  },

  async unmount () {
    await call(mounted, 'unmount')
  }
})
