'use strict'
// The conversation between a test and a peer process: one JSON object a line.
//   in:  {"id": 7, "do": "append", ...arguments}
//   out: {"id": 7, "ok": {...}} | {"id": 7, "error": "why"} | {"event": "name", ...}
// Commands run as they arrive and may overlap; the process ends when its standard input closes.

const readline = require('readline')

const output = process.stdout.write.bind(process.stdout)

function write (object) {
  output(JSON.stringify(object) + '\n')
}

exports.event = function (name, fields) {
  write({ event: name, ...fields })
}

/** Serves the commands, an object of async functions, until stdin closes. */
exports.serve = function (commands) {
  const lines = readline.createInterface({ input: process.stdin })
  lines.on('line', async (line) => {
    const command = JSON.parse(line)
    try {
      const run = commands[command.do]
      if (!run) throw new Error('unknown command ' + command.do)
      write({ id: command.id, ok: (await run(command)) || {} })
    } catch (error) {
      write({ id: command.id, error: error.stack || String(error) })
    }
  })
  lines.on('close', () => process.exit(0))
  exports.event('started', { pid: process.pid, node: process.versions.node })
}

/** Command-line options, `--name value`; a name without a value is true. */
exports.options = function () {
  const options = {}
  const words = process.argv.slice(2)
  for (let i = 0; i < words.length; i++) {
    if (!words[i].startsWith('--')) throw new Error('unexpected ' + words[i])
    const follows = i + 1 < words.length && !words[i + 1].startsWith('--')
    options[words[i].slice(2)] = follows ? words[++i] : true
  }
  return options
}

/** Turns f(...args, callback) into a promise. */
exports.call = function (target, name, ...args) {
  return new Promise((resolve, reject) => {
    target[name](...args, (error, ...results) => {
      if (error) reject(error)
      else resolve(results.length > 1 ? results : results[0])
    })
  })
}
