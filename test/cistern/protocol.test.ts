import { expect, test } from '@jest/globals';
import { type CisternNode, isFree } from '../../src/cistern/protocol.js';

const node: CisternNode = { id: '1', serverId: 's1', hostname: 'vm-1', user: '', recipe: 'r', status: 'FREE', faulty: false };

test.each<{ reason: string; change: Partial<CisternNode>; free: boolean }>([
  { reason: 'nobody has it and Cistern says so', change: {}, free: true },
  { reason: 'nobody has it and Cistern has no word for its state', change: { status: '' }, free: true },
  { reason: 'the word is in small letters', change: { status: 'free' }, free: true },
  { reason: 'somebody has it', change: { user: 'alice' }, free: false },
  { reason: 'somebody has it, whatever the word', change: { user: 'alice', status: 'ASSIGNED' }, free: false },
  { reason: 'it is faulty', change: { faulty: true }, free: false },
  { reason: 'it is in another state', change: { status: 'BOOTING' }, free: false },
  { reason: 'the word only contains free', change: { status: 'NOT FREE' }, free: false },
])('a node is free or not ($free) when $reason', ({ change, free }) => {
  expect(isFree({ ...node, ...change })).toBe(free);
});
