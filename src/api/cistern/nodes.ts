import { z } from 'zod';
import { cisternNodeSchema } from '../cistern-node.js';
import { cisternNodesIn } from '../v1/cistern-nodes.js';
import { type Operation, operationWithBody } from '../v1/operation.js';
import { cloudOf } from './cloud.js';

/** What is in the inventory. */
export const nodes: readonly Operation[] = [
  operationWithBody({
    methods: ['GET'],
    path: '/nodes',
    perCloud: true,
    access: 'always a token',
    summary: 'The nodes of a cloud that are free or assigned, and if so asked the faulty ones; {} where there are none.',
    body: z.strictObject({ with_faulty_nodes: z.boolean().optional().describe('Default: false.') }),
    answer: z.object({ status: z.literal('ok'), nodes: z.union([z.array(cisternNodeSchema), z.strictObject({})]) }),
    handle: async (call, { with_faulty_nodes: all = false }) => {
      const known = await cisternNodesIn(call, await cloudOf(call));
      const told = known.filter(({ status_desc }) => all || status_desc !== 'FAULTY');
      return { code: 200, body: { status: 'ok', nodes: told.length === 0 ? {} : told } };
    },
  }),
];
