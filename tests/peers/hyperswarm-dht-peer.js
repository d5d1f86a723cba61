'use strict'
// @hyperswarm/dht, the network of dat 14: a full node of a network of the test's own.
//
// Commands (lib/control.js says how they travel):
//   open {bootstrap: ["host:port"]}   a node at a free port of loopback; without bootstrap the first one => {port, id}
//   lookup {target}                   => {peers: ["host:port"]}: all that the nodes named
//   announce {target, port}           => {}
//   unannounce {target, port}         => {}
//   ask {command, target, value}      a command as it is, value in hex => {answers: [{port, error, value}]}
//   nodes                             => {ports}: of the nodes in its table
//   close

const { serve } = require('./lib/control')
const createDht = require('@hyperswarm/dht')

let dht = null

function ended (stream, each) {
  return new Promise((resolve, reject) => {
    stream.on('data', each)
    stream.on('error', reject)
    stream.on('end', resolve)
  })
}

serve({
  async open ({ bootstrap }) {
    dht = createDht({ bootstrap, ephemeral: false })
    await new Promise((resolve) => dht.listen(0, '127.0.0.1', resolve))
    await new Promise((resolve) => dht.ready(resolve))
    return { port: dht.address().port, id: dht.id.toString('hex') }
  },

  async lookup ({ target }) {
    const peers = new Set()
    await ended(dht.lookup(Buffer.from(target, 'hex')), ({ peers: told }) => {
      for (const peer of told || []) peers.add(peer.host + ':' + peer.port)
    })
    return { peers: [...peers] }
  },

  announce: async ({ target, port }) => { await ended(dht.announce(Buffer.from(target, 'hex'), { port }), () => {}) },
  unannounce: async ({ target, port }) => { await ended(dht.unannounce(Buffer.from(target, 'hex'), { port }), () => {}) },

  async ask ({ command, target, value }) {
    const answers = []
    const stream = dht.query(command, Buffer.from(target, 'hex'), Buffer.from(value, 'hex'))
    stream.on('warning', (warning) => answers.push({ error: warning.message }))
    await ended(stream, ({ node, value }) => answers.push({ port: node.port, value: value ? value.toString('hex') : '' }))
    return { answers }
  },

  nodes: () => ({ ports: dht.getNodes().map((node) => node.port) }),

  async close () {
    dht.destroy()
  }
})
