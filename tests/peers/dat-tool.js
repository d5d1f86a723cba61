'use strict'
// The dat command-line tool itself, in a network namespace whose only device is loopback: it looks for peers as it always
// does and reaches nobody outside. What it serves is handed out through a Unix socket, which namespaces don't separate.
//
//   unshare --net sh -c 'ip link set lo up && exec node dat-tool.js'        (NodePeer does this)
//
// Commands (lib/control.js says how they travel):
//   share {dir, home, socket}   runs `dat share dir` with that home folder => {key}; every connection to the Unix socket
//                               becomes one to the tool's TCP port. Without a socket it is reached as everybody is
//   clone {key, dir, home, socket}   runs `dat clone key dir`; the only peer it finds is behind the Unix socket
//                               (without a socket it has to find one itself) => {code} once the tool has everything and wants to exit

require('./lib/native-crypto')
const { serve } = require('./lib/control')
const fs = require('fs')
const net = require('net')
const path = require('path')

const port = 3282

async function until (test) {
  for (;;) {
    const result = await test()
    if (result) return result
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function answers () {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true) })
    socket.on('error', () => resolve(false))
  })
}

function runTool (home, ...words) {
  process.env.HOME = home
  process.argv = [process.argv[0], 'dat', ...words]
  // The tool draws on the terminal; the conversation with the test has kept its own way out.
  process.stdout.write = () => true
  require('./dat/node_modules/dat/bin/cli.js')
}

function carry (from, to) {
  from.pipe(to).pipe(from)
  from.on('error', () => to.destroy())
  to.on('error', () => from.destroy())
}

/** Every search of the tool finds a peer at this port. */
function findAt (port) {
  const Discovery = require('./dat/node_modules/discovery-channel')
  const join = Discovery.prototype.join
  Discovery.prototype.join = function (id, ...rest) {
    join.call(this, id, ...rest)
    setImmediate(() => this.emit('peer', id, { host: '127.0.0.1', port }, 'test'))
  }
}

/** The only peer it finds is behind a Unix socket. */
async function leadTo (socket) {
  const bridge = net.createServer((inside) => carry(inside, net.connect(socket)))
  await new Promise((resolve) => bridge.listen(0, '127.0.0.1', resolve))
  findAt(bridge.address().port)
}

serve({
  async clone ({ key, dir, home, socket }) {
    if (socket) await leadTo(socket)
    const exited = new Promise((resolve) => { process.exit = (code) => resolve({ code: code || 0 }) })
    runTool(home, 'clone', key, dir)
    return exited
  },

  async share ({ dir, home, socket }) {
    runTool(home, 'share', dir)
    const keyFile = path.join(dir, '.dat', 'metadata.key')
    const key = await until(() => fs.existsSync(keyFile) && fs.statSync(keyFile).size === 32 && fs.readFileSync(keyFile).toString('hex'))
    await until(answers)
    if (socket) net.createServer((outside) => carry(outside, net.connect(port, '127.0.0.1'))).listen(socket)
    return { key }
  }
})
