'use strict'
// bittorrent-dht as the dat programs use it: a node of a mainline network of the test's own.
//
// Commands (lib/control.js says how they travel):
//   open {bootstrap: ["host:port"]}   a node at a free port of loopback; without bootstrap the first one => {port}
//   lookup {infoHash}                 => {found}: how many nodes were asked last; each peer is told: event peer {infoHash, host, port}
//   announce {infoHash, port}         => {}
//   close

const { serve, event } = require('./lib/control')
const DHT = require('bittorrent-dht')

let dht = null

serve({
  async open ({ bootstrap }) {
    dht = new DHT({ bootstrap: bootstrap.length ? bootstrap : false, host: '127.0.0.1' })
    dht.on('peer', (peer, infoHash) => event('peer', { infoHash: infoHash.toString('hex'), host: peer.host, port: peer.port }))
    dht.on('error', (error) => event('problem', { message: error.message }))
    await new Promise((resolve) => dht.listen(0, '127.0.0.1', resolve))
    await new Promise((resolve) => dht.ready ? resolve() : dht.once('ready', resolve))
    return { port: dht.address().port }
  },

  lookup: ({ infoHash }) => new Promise((resolve, reject) => dht.lookup(infoHash, (error, count) => error ? reject(error) : resolve({ found: count }))),
  announce: ({ infoHash, port }) => new Promise((resolve, reject) => dht.announce(infoHash, port, (error) => error ? reject(error) : resolve({}))),

  async close () {
    await new Promise((resolve) => dht.destroy(resolve))
  }
})
