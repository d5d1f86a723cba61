'use strict'
// TCP connections over loopback that carry a replication stream, nothing before it and nothing after it.

const net = require('net')
const { event } = require('./control')

/** Commands listen, connect, disconnect, traffic over replicate(options) => duplex stream. */
exports.linkCommands = function (replicate) {
  const sockets = new Set()
  const servers = new Set()
  let count = 0
  let received = 0
  let sent = 0

  function link (socket, options) {
    const id = ++count
    let reason = null
    socket.setNoDelay(true)
    sockets.add(socket)
    const stream = replicate({
      live: options.live !== false,
      encrypt: true,
      download: options.download !== false,
      upload: options.upload !== false,
      ack: !!options.ack
    })
    stream.on('handshake', () => event('handshake', { link: id }))
    stream.on('error', (error) => { reason = reason || error.message; socket.destroy() })
    socket.on('error', (error) => { reason = reason || error.message; stream.destroy() })
    socket.on('close', () => {
      received += socket.bytesRead
      sent += socket.bytesWritten
      sockets.delete(socket)
      stream.destroy()
      event('closed', { link: id, reason })
    })
    stream.on('end', () => event('stream-end', { link: id }))
    socket.pipe(stream).pipe(socket)
    return id
  }

  return {
    // {port?, live?, download?, upload?, ack?} => {port}
    async listen (options) {
      const server = net.createServer((socket) => {
        const id = link(socket, options)
        event('connection', { link: id })
      })
      servers.add(server)
      await new Promise((resolve, reject) => {
        server.on('error', reject)
        server.listen(options.port || 0, '127.0.0.1', resolve)
      })
      return { port: server.address().port }
    },

    // {port, live?, download?, upload?, ack?} => {link}
    async connect (options) {
      const socket = net.connect(options.port, '127.0.0.1')
      await new Promise((resolve, reject) => {
        socket.once('error', reject)
        socket.once('connect', resolve)
      })
      return { link: link(socket, options) }
    },

    async disconnect () {
      for (const socket of sockets) socket.destroy()
      for (const server of servers) server.close()
      servers.clear()
    },

    // Bytes on the wire, closed connections included.
    async traffic () {
      const sum = { received, sent, open: sockets.size }
      for (const socket of sockets) {
        sum.received += socket.bytesRead
        sum.sent += socket.bytesWritten
      }
      return sum
    }
  }
}
