// Replaces server-memory's own index.ts: the same class on top of an engine's nine tools, called over the Model Context
// Protocol. A store is a data directory beside the file that the tests name. A manager for a known file restarts the
// engine, so that everything it reads came from the disk.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface Entity { name: string; entityType: string; observations: string[] }
export interface Relation { from: string; to: string; relationType: string }
export interface KnowledgeGraph { entities: Entity[]; relations: Relation[] }

const stores = new Map<string, { data: string; client?: Promise<Client> }>();

async function start(data: string): Promise<Client> {
  const client = new Client({ name: 'peers', version: '1' });
  const args = ['mcp', '--data', data, '--server-memory-tools'];
  await client.connect(new StdioClientTransport({ command: process.env.ENGINE!, args, stderr: 'ignore' }));
  return client;
}

export class KnowledgeGraphManager {
  private client: Promise<Client>;

  constructor(file: string) {
    const known = stores.get(file) ?? { data: mkdtempSync(path.join(tmpdir(), 'peers-')) };
    const before = known.client;
    this.client = (async () => {
      if (before) await (await before).close();
      return start(known.data);
    })();
    known.client = this.client;
    stores.set(file, known);
  }

  private async call(name: string, args: Record<string, unknown>): Promise<any> {
    const answer: any = await (await this.client).callTool({ name, arguments: args });
    if (answer.isError) throw new Error(answer.content[0].text);
    return answer.structuredContent;
  }

  async createEntities(entities: Entity[]): Promise<Entity[]> {
    return (await this.call('create_entities', { entities })).entities;
  }
  async createRelations(relations: Relation[]): Promise<Relation[]> {
    return (await this.call('create_relations', { relations })).relations;
  }
  async addObservations(observations: { entityName: string; contents: string[] }[]) {
    return (await this.call('add_observations', { observations })).results;
  }
  async deleteEntities(entityNames: string[]): Promise<void> {
    await this.call('delete_entities', { entityNames });
  }
  async deleteObservations(deletions: { entityName: string; observations: string[] }[]): Promise<void> {
    await this.call('delete_observations', { deletions });
  }
  async deleteRelations(relations: Relation[]): Promise<void> {
    await this.call('delete_relations', { relations });
  }
  async readGraph(): Promise<KnowledgeGraph> {
    return this.call('read_graph', {});
  }
  async searchNodes(query: string): Promise<KnowledgeGraph> {
    return this.call('search_nodes', { query });
  }
  async openNodes(names: string[]): Promise<KnowledgeGraph> {
    return this.call('open_nodes', { names });
  }
}
