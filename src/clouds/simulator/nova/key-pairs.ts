import { z } from 'zod';
import { parseBody } from '../http/body.js';
import type { Routes } from '../http/service.js';
import { micros } from '../http/times.js';
import type { KeyPairRecord } from '../model/records.js';
import { Refusal } from '../model/refusal.js';
import type { State } from '../model/state.js';
import type { NovaCall } from './call.js';
import { fingerprintOf, newSshKey } from './ssh-keys.js';

const bodySchema = z.object({
  keypair: z.strictObject({
    name: z.string().min(1).max(255),
    type: z.enum(['ssh', 'x509']).default('ssh'),
    public_key: z.string().optional(),
    user_id: z.string().optional(),
  }),
});

/** Key pairs. They belong to the user, not to the project. */
export function novaKeyPairs(state: State): Routes<NovaCall> {
  return {
    'GET /v2.1/os-keypairs': (call) => {
      const pairs = [...state.keyPairs.values()].filter(({ userId }) => userId === call.asker.userId);
      pairs.sort((one, other) => (one.name < other.name ? -1 : 1));
      const keypairs = pairs.map(({ name, publicKey, fingerprint, type }) => ({
        keypair: { name, public_key: publicKey, fingerprint, ...(call.view.minor >= 2 && { type }) },
      }));
      return { status: 200, json: { keypairs } };
    },
    'POST /v2.1/os-keypairs': (call) => {
      const { name, type, public_key: given } = parseBody(bodySchema, call.body).keypair;
      // From 2.92 on Nova makes no keys, and takes more names.
      const strict = call.view.minor < 92;
      if (!(strict ? /^[\w\- ]+$/ : /^[\w\-@. ]+$/).test(name)) throw new Refusal(400, badName(strict));
      const { userId } = call.asker;
      if (state.keyPairs.has(`${userId}/${name}`)) throw new Refusal(409, `Key pair '${name}' already exists.`);
      if (given === undefined && !strict) {
        throw new Refusal(400, "Invalid input for field/attribute keypair. 'public_key' is a required property");
      }
      const made = given === undefined ? newSshKey() : undefined;
      const publicKey = made?.publicKey ?? given ?? '';
      const fingerprint = fingerprintOf(publicKey);
      if (fingerprint === undefined) throw new Refusal(400, 'Keypair data is invalid: failed to generate fingerprint');
      const number = 1 + Math.max(0, ...[...state.keyPairs.values()].map((pair) => pair.number));
      state.putKeyPair({ name, userId, number, type, publicKey, fingerprint, created: call.now });
      const shown = {
        ...(call.view.minor >= 2 && { type }),
        ...(made !== undefined && { private_key: made.privateKey }),
        name,
        public_key: publicKey,
        fingerprint,
        user_id: userId,
      };
      return { status: call.view.minor >= 2 ? 201 : 200, json: { keypair: shown } };
    },
    'GET /v2.1/os-keypairs/:name': (call) => {
      const pair = find(state, call);
      const keypair = {
        name: pair.name,
        public_key: pair.publicKey,
        fingerprint: pair.fingerprint,
        user_id: pair.userId,
        created_at: micros(pair.created),
        deleted: false,
        deleted_at: null,
        id: pair.number,
        updated_at: null,
        ...(call.view.minor >= 2 && { type: pair.type }),
      };
      return { status: 200, json: { keypair } };
    },
    'DELETE /v2.1/os-keypairs/:name': (call) => {
      const { name, userId } = find(state, call);
      state.removeKeyPair(userId, name);
      return { status: call.view.minor >= 2 ? 204 : 202 };
    },
  };
}

function find(state: State, { params, asker }: NovaCall): KeyPairRecord {
  const pair = state.keyPairs.get(`${asker.userId}/${params.name}`);
  if (pair === undefined) throw new Refusal(404, `Keypair ${params.name} not found for user ${asker.userId}`);
  return pair;
}

function badName(strict: boolean): string {
  const letters = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
  const expected = `[${strict ? '_- ' : '@._- '}${letters}]`;
  return `An invalid 'name' value was provided. The name must be: Only expected characters: ${expected}`;
}
