import { jest } from '@jest/globals';
import { v1Contract } from '../../contract/v1.js';
import { v1Cloud } from '../../support/v1-world.js';
import { Lab, PATIENCE_MS } from '../support/lab.js';
import { describeOnOpenStack } from '../support/openstack.js';
import { v1Place } from '../support/v1.js';

jest.setTimeout(240_000);

describeOnOpenStack('API v1 on a real OpenStack', () => {
  v1Contract(async () => {
    const lab = await Lab.open('v1');
    const { spec } = lab.cloud();
    return v1Place(lab.dispatcher, {
      cloud: v1Cloud({ ...Object(spec) }),
      engine: 'openstack',
      prefix: lab.named(''),
      patienceMs: PATIENCE_MS,
      close: () => lab.close(),
    });
  });
});
