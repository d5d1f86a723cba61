'use strict'
// Counts what a feed sends and receives, block by block.

exports.Counter = class Counter {
  constructor (feed) {
    this.reset()
    feed.on('upload', (index, data) => {
      this.uploaded++
      this.uploadedBytes += data ? data.length : 0
      if (this.uploadedIndices.length < 1000) this.uploadedIndices.push(index)
    })
    feed.on('download', (index, data) => {
      this.downloaded++
      this.downloadedBytes += data ? data.length : 0
    })
  }

  reset () {
    this.uploaded = this.uploadedBytes = this.downloaded = this.downloadedBytes = 0
    this.uploadedIndices = []
  }

  get () {
    const { uploaded, uploadedBytes, uploadedIndices, downloaded, downloadedBytes } = this
    return { uploaded, uploadedBytes, uploadedIndices, downloaded, downloadedBytes }
  }
}

/** Blocks of [start, end) that a feed holds. */
exports.held = function (feed, start = 0, end = feed.length) {
  let count = 0
  for (let i = start; i < end; i++) if (feed.has(i)) count++
  return count
}

exports.describe = function (feed) {
  if (!feed) return null
  return {
    key: feed.key.toString('hex'),
    discoveryKey: feed.discoveryKey.toString('hex'),
    writable: feed.writable,
    length: feed.length,
    byteLength: feed.byteLength,
    held: exports.held(feed),
    peers: feed.peers.length
  }
}

/** Resolves once test() is true, asking again whenever one of the feeds changes. */
exports.until = function (feeds, test) {
  return new Promise((resolve, reject) => {
    const names = ['download', 'append', 'sync', 'remote-update', 'peer-add', 'peer-remove']
    let checking = null
    function check () {
      if (checking) return
      checking = setImmediate(() => {
        checking = null
        try {
          if (!test()) return
          stop()
          resolve()
        } catch (error) {
          stop()
          reject(error)
        }
      })
    }
    // Some changes have no event in every release: look again now and then.
    const timer = setInterval(check, 50)
    function stop () {
      clearInterval(timer)
      for (const feed of feeds) for (const name of names) feed.removeListener(name, check)
    }
    for (const feed of feeds) for (const name of names) feed.on(name, check)
    check()
  })
}
