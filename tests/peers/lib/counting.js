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

/** Blocks from `start` on that a feed holds without a gap; cheap to ask again and again while the feed fills up. */
exports.Progress = class Progress {
  constructor (feed, start = 0) {
    this.feed = feed
    this.at = start
  }

  reached (end) {
    while (this.at < end && this.feed.has(this.at)) this.at++
    return this.at >= end
  }
}

/** Resolves once test() is true. Looks after a feed has changed, but at most every few milliseconds. */
exports.until = function (feeds, test) {
  return new Promise((resolve, reject) => {
    const names = ['download', 'append', 'sync', 'remote-update', 'peer-add', 'peer-remove']
    let timer = null
    function soon () {
      if (!timer) timer = setTimeout(look, 5)
    }
    function look () {
      timer = null
      try {
        if (!test()) return
        stop(resolve)
      } catch (error) {
        stop(() => reject(error))
      }
    }
    // Some changes have no event in every release: look again now and then.
    const patience = setInterval(soon, 50)
    function stop (then) {
      clearInterval(patience)
      for (const feed of feeds) for (const name of names) feed.removeListener(name, soon)
      then()
    }
    for (const feed of feeds) for (const name of names) feed.on(name, soon)
    look()
  })
}
