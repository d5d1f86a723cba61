'use strict'
// dns-discovery as a client, and as the server it is part of. It speaks with the servers it is given and with nobody else: no multicast.
//
// Commands (lib/control.js says how they travel):
//   open {servers: ["host:port[,secondary]"]}   a client; tells every peer it hears of: event peer {name, host, port}
//   lookup {name}, announce {name, port}, unannounce {name, port}   => {} when any server answered, an error when none did
//   whoami                        => {host, port}
//   listen {ports?: [number]}     a server on these UDP ports, or a free one => {ports}
//   fill {name, count}            gives the server records of a name, 10.1.0.0:3282 and on
//   close

const { serve, call, event } = require('./lib/control')
const dgram = require('dgram')
const dns = require('dns-discovery')

const domain = 'dat.local'
let client = null
let server = null

function freePort () {
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket('udp4')
    socket.on('error', reject)
    socket.bind(0, '127.0.0.1', () => {
      const port = socket.address().port
      socket.close(() => resolve(port))
    })
  })
}

serve({
  async open ({ servers }) {
    client = dns({ servers, domain, multicast: false })
    client.on('peer', (name, peer) => event('peer', { name, host: peer.host, port: peer.port }))
    client.on('error', (error) => event('problem', { message: error.message }))
  },

  lookup: ({ name }) => call(client, 'lookup', name).then(() => ({})),
  announce: ({ name, port }) => call(client, 'announce', name, port).then(() => ({})),
  unannounce: ({ name, port }) => call(client, 'unannounce', name, port).then(() => ({})),
  whoami: () => call(client, 'whoami'),

  async listen ({ ports }) {
    server = dns({ domain, multicast: false })
    const chosen = ports || [await freePort()]
    await new Promise((resolve, reject) => {
      server.on('error', reject)
      server.listen(chosen, resolve)
    })
    return { ports: chosen }
  },

  async fill ({ name, count }) {
    for (let i = 0; i < count; i++) server._domainStore.add(name, 3282, '10.1.0.' + i)
  },

  async close () {
    for (const one of [client, server]) {
      if (one) await new Promise((resolve) => one.destroy(resolve))
    }
    client = server = null
  }
})
