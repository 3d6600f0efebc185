/** Events as a Parquet file: for DuckDB, pandas, Spark, ClickHouse. Written by hyparquet-writer, a row group at a time. */
import type { ByteSink } from '../../engine/log/storage.ts';
import type { TableRow } from './rows.ts';

/** Rows of a group: what is in memory at once. */
const GROUP_ROWS = 100_000;

const SCHEMA = [
  { name: 'root', num_children: 12 },
  { name: 'record', type: 'INT64', repetition_type: 'REQUIRED' },
  { name: 'position', type: 'INT64', repetition_type: 'REQUIRED' },
  { name: 'virtual_ns', type: 'INT64', repetition_type: 'REQUIRED' },
  { name: 'kind', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' },
  { name: 'name', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' },
  { name: 'reason', type: 'INT32', repetition_type: 'OPTIONAL' },
  { name: 'rip', type: 'INT64', converted_type: 'UINT_64', repetition_type: 'OPTIONAL' },
  { name: 'target', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
  { name: 'size', type: 'INT32', repetition_type: 'OPTIONAL' },
  { name: 'access', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
  { name: 'value', type: 'INT64', converted_type: 'UINT_64', repetition_type: 'OPTIONAL' },
  { name: 'detail', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
] as const;

export class ParquetTableWriter {
  private readonly sink: ByteSink;
  private readonly bytes: InstanceType<typeof import('hyparquet-writer').ByteWriter>;
  private readonly writer: InstanceType<typeof import('hyparquet-writer').ParquetWriter>;
  private rows: TableRow[] = [];

  private constructor(sink: ByteSink, library: typeof import('hyparquet-writer'), createdBy: string) {
    this.sink = sink;
    this.bytes = new library.ByteWriter();
    this.writer = new library.ParquetWriter({ writer: this.bytes, schema: SCHEMA.map((element) => ({ ...element })), createdBy });
  }

  /** The library is loaded when it is needed. */
  static async open(sink: ByteSink, createdBy: string): Promise<ParquetTableWriter> {
    return new ParquetTableWriter(sink, await import('hyparquet-writer'), createdBy);
  }

  row(row: TableRow): void {
    this.rows.push(row);
    if (this.rows.length >= GROUP_ROWS) this.group();
  }

  end(): void {
    this.group();
    void this.writer.finish();
    this.flush();
  }

  private group(): void {
    const { rows } = this;
    if (rows.length === 0) return;
    const columnData = [
      { name: 'record', data: rows.map(({ record }) => BigInt(record)) },
      { name: 'position', data: rows.map(({ position }) => BigInt(position)) },
      { name: 'virtual_ns', data: rows.map(({ virtualNs }) => BigInt(virtualNs)) },
      { name: 'kind', data: rows.map(({ kind }) => kind) },
      { name: 'name', data: rows.map(({ name }) => name) },
      { name: 'reason', data: rows.map(({ reason }) => reason) },
      { name: 'rip', data: rows.map(({ rip }) => rip) },
      { name: 'target', data: rows.map(({ target }) => target) },
      { name: 'size', data: rows.map(({ size }) => size) },
      { name: 'access', data: rows.map(({ access }) => access) },
      { name: 'value', data: rows.map(({ value }) => value) },
      { name: 'detail', data: rows.map(({ detail }) => detail) },
    ];
    void this.writer.write({ columnData, rowGroupSize: GROUP_ROWS });
    this.rows = [];
    this.flush();
  }

  /** The writer counts offsets by itself, so what it has in memory can go. */
  private flush(): void {
    this.sink.append(new Uint8Array(this.bytes.buffer, 0, this.bytes.index));
    this.bytes.index = 0;
  }
}
