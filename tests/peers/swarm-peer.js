'use strict'
// discovery-swarm as the dat programs use it, with DNS servers, multicast or a DHT of the test's own, as its only way to find anybody: no uTP.
//
// Commands (lib/control.js says how they travel):
//   open {servers: ["host:port"], interval?, multicast?, bootstrap?: ["host:port"]}   => {id}; interval: milliseconds between two rounds instead of a minute or more
//   listen                        TCP on a free port of every interface => {port}
//   join {key, announce?}, leave {key}         key: 64 hex digits of a discovery key
//   close
// Events: peer {key, host, port} for each address heard of, connection {id, initiator}, closed {id}

const { serve, event } = require('./lib/control')
const swarmOf = require('discovery-swarm')

let swarm = null

serve({
  async open ({ servers, interval, multicast, bootstrap }) {
    swarm = swarmOf({
      dns: { servers, domain: 'dat.local', multicast: multicast === true, interval },
      dht: bootstrap && bootstrap.length ? { bootstrap } : false,
      utp: false,
      hash: false
    })
    swarm.on('peer', (peer) => event('peer', { key: peer.channel && peer.channel.toString('hex'), host: peer.host, port: peer.port }))
    swarm.on('connection', (connection, info) => {
      const id = info.id.toString('hex')
      connection.on('error', () => {})
      connection.on('close', () => event('closed', { id }))
      event('connection', { id, initiator: info.initiator })
    })
    swarm.on('error', (error) => event('problem', { message: error.message }))
    return { id: swarm.id.toString('hex') }
  },

  async listen () {
    await new Promise((resolve) => {
      swarm.once('listening', resolve)
      swarm.listen(0)
    })
    return { port: swarm.address().port }
  },

  async join ({ key, announce }) {
    swarm.join(Buffer.from(key, 'hex'), { announce: announce !== false })
  },

  async leave ({ key }) {
    swarm.leave(Buffer.from(key, 'hex'))
  },

  async close () {
    await new Promise((resolve) => swarm.destroy(resolve))
  }
})
