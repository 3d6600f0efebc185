/** The OpenAPI document and its page, made of the schemas that the routes are registered with. */
import type { FastifyInstance } from 'fastify';
import { BRANCH_NODE, ERROR_ANSWERS, type Schema } from './schemas.ts';

interface Operation {
  readonly method: string;
  readonly url: string;
  readonly schema: RouteSchema;
}

/** What a route says of itself. */
export interface RouteSchema {
  readonly summary?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly params?: Schema;
  readonly querystring?: Schema;
  readonly headers?: Schema;
  readonly body?: Schema;
  readonly response?: Readonly<Record<string, Schema>>;
  /** Media type of the good answer if it is not JSON, and of the body. */
  readonly produces?: string;
  readonly consumes?: string;
  /** Of a WebSocket: what goes each way. */
  readonly socket?: string;
}

declare module 'fastify/types/schema.js' {
  // What Fastify itself does not look at.
  interface FastifySchema {
    summary?: string;
    description?: string;
    tags?: readonly string[];
    produces?: string;
    consumes?: string;
  }
}

export class ApiDocument {
  private readonly version: string;
  private readonly operations: Operation[] = [];

  constructor(version: string) {
    this.version = version;
  }

  /** Takes note of every route that has a summary and is registered from now on. */
  watch(server: FastifyInstance): void {
    server.addHook('onRoute', ({ method, url, schema }) => {
      for (const each of [method].flat()) if (each !== 'HEAD' && (schema as RouteSchema | undefined)?.summary !== undefined) this.add(each, url, schema as RouteSchema);
    });
  }

  add(method: string, url: string, schema: RouteSchema): void {
    this.operations.push({ method: method.toLowerCase(), url, schema });
  }

  toJson(): object {
    const paths: Record<string, Record<string, object>> = {};
    for (const { method, url, schema } of this.operations) {
      const path = url.replace(/:(\w+)/g, '{$1}');
      (paths[path] ??= {})[method] = operationOf(schema);
    }
    return {
      openapi: '3.1.0',
      info: {
        title: 'Chronovisor', version: this.version,
        description: 'The lab: guests, recordings, runs, and questions about them. Positions are instructions since power-on; 64-bit values and bytes are hexadecimal text.',
      }, // prettier-ignore
      paths,
      components: { schemas: { BranchNode: BRANCH_NODE }, securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'of a server that listens beyond loopback' } } },
      security: [{}, { token: [] }],
    };
  }

  toHtml(): string {
    const sections = new Map<string, Operation[]>();
    for (const operation of this.operations) {
      const tag = operation.schema.tags?.[0] ?? 'other';
      sections.set(tag, [...(sections.get(tag) ?? []), operation]);
    }
    const body = [...sections].map(([tag, operations]) => `<section><h2>${escape(tag)}</h2>${operations.map(operationHtml).join('')}</section>`).join('');
    const head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Chronovisor: API</title>';
    const intro = `<h1>Chronovisor ${escape(this.version)}: API</h1><p>As a document for programs: <a href="/api/openapi.json">openapi.json</a>.</p>`;
    return `<!doctype html><html lang="en"><head>${head}</head><body><main>${intro}${body}</main></body></html>`;
  }
}

function operationOf({ summary, description, tags, params, querystring, headers, body, response = {}, produces, consumes, socket }: RouteSchema): object {
  const parameters = [...parametersOf(params, 'path'), ...parametersOf(querystring, 'query'), ...parametersOf(headers, 'header')];
  const answers = Object.entries({ ...response, ...ERROR_ANSWERS }).map(([status, schema]) => {
    const isGood = status.startsWith('2');
    const type = isGood && produces !== undefined ? produces : 'application/json';
    return [status, { description: isGood ? (summary ?? '') : 'what is wrong, and what to do', ...(Object.keys(schema).length > 0 && { content: { [type]: { schema } } }) }] as const;
  });
  return {
    summary,
    ...(description !== undefined && { description }),
    ...(tags !== undefined && { tags }),
    ...(parameters.length > 0 && { parameters }),
    ...(body !== undefined && { requestBody: { required: true, content: { [consumes ?? 'application/json']: { schema: body } } } }),
    responses: Object.fromEntries(socket === undefined ? answers : [['101', { description: socket }], ...answers]),
  };
}

function parametersOf(schema: Schema | undefined, place: string): readonly object[] {
  const { properties = {}, required = [] } = (schema ?? {}) as { properties?: Record<string, Schema>; required?: readonly string[] };
  return Object.entries(properties).map(([name, each]) => ({ name, in: place, required: place === 'path' || required.includes(name), schema: each }));
}

function operationHtml({ method, url, schema }: Operation): string {
  const { summary = '', description, params, querystring, headers, body, response, socket } = schema;
  const rows = [...parametersOf(params, 'path'), ...parametersOf(querystring, 'query'), ...parametersOf(headers, 'header')] as readonly { name: string; in: string; required: boolean; schema: Schema }[];
  const parameters = rows.map(({ name, in: place, required, schema: each }) => `<tr><th scope="row">${escape(name)}</th><td>${place}${required ? ', required' : ''}</td><td>${escape(typeText(each))}</td></tr>`).join('');
  const good = Object.entries(response ?? {}).find(([status]) => status.startsWith('2'));
  const json = (title: string, each: Schema | undefined): string => (each === undefined || Object.keys(each).length === 0 ? '' : `<details><summary>${title}</summary><pre>${escape(JSON.stringify(each, null, 2))}</pre></details>`);
  const title = `<h3><code>${escape(socket === undefined ? method.toUpperCase() : 'WebSocket')} ${escape(url)}</code></h3>`;
  const text = [`${summary}.`, description, socket].filter((part) => part !== undefined).map(escape).join(' ');
  return `<article>${title}<p>${text}</p>${parameters === '' ? '' : `<table>${parameters}</table>`}${json('body', body)}${json('answer', good?.[1])}</article>`;
}

function typeText(schema: Schema): string {
  const { type, enum: values, minimum, maximum, pattern, description } = schema as { type?: unknown; enum?: readonly unknown[]; minimum?: number; maximum?: number; pattern?: string; description?: string };
  const range = minimum === undefined && maximum === undefined ? '' : ` ${minimum ?? ''}..${maximum ?? ''}`;
  return [values === undefined ? `${String(type)}${range}` : values.join(' | '), description ?? '', pattern ?? ''].filter((part) => part !== '').join('; ');
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
