// Reads Parquet files with hyparquet: `node hyparquet.mjs NODE_MODULES dates|micros FILE...`.
// The first line of the output is JSON; the floats of all lists follow, column by column.
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [modules, times, ...paths] = process.argv.slice(2)
const require = createRequire(`${modules}/reader.js`)
const load = name => import(pathToFileURL(require.resolve(name)))
const { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, parquetSchema } =
  await load('hyparquet')
const { compressors } = await load('hyparquet-compressors')

const kindOf = ({ type, logical_type: logical }) => {
  switch (logical?.type) {
    case 'STRING': return 'string'
    case 'INTEGER': return `int${logical.bitWidth}`
    // JavaScript's numbers hold its values.
    case 'FLOAT16': return 'float'
    case 'TIMESTAMP': return logical.isAdjustedToUTC ? 'instant' : 'wall clock'
  }
  return type.toLowerCase()
}

const plain = value => {
  // A Date counts milliseconds.
  if (value instanceof Date) return (BigInt(value.getTime()) * 1000n).toString()
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  // JSON has neither integers of 64 bits nor NaN nor -0.
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'number') return Object.is(value, -0) ? '-0.0' : value.toString()
  if (Array.isArray(value)) return value.map(plain)
  return value ?? null
}

const parsers = times === 'micros' ? { timestampFromMicroseconds: value => value } : undefined
const rows = []
let schema
for (const path of paths) {
  const file = await asyncBufferFromFile(path)
  schema = parquetSchema(await parquetMetadataAsync(file))
  rows.push(...await parquetReadObjects({ file, compressors, parsers, utf8: false }))
}
const lists = []
const columns = schema.children.map(({ element, children }) => {
  const [leaf] = children.flatMap(list => list.children)
  const kind = leaf ? `list of ${kindOf(leaf.element)}` : kindOf(element)
  const values = rows.map(row => row[element.name])
  if (kind !== 'list of float') return { name: element.name, kind, values: values.map(plain) }
  for (const list of values) if (list) lists.push(Buffer.from(Float32Array.from(list).buffer))
  return { name: element.name, kind, values: values.map(list => list?.length ?? null) }
})
process.stdout.write(Buffer.concat([Buffer.from(JSON.stringify(columns) + '\n'), ...lists]))
