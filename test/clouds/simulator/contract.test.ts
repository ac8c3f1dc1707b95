import { pino } from 'pino';
import { openStackDriver } from '../../../src/clouds/openstack/driver.js';
import { startSimulator } from '../../../src/clouds/simulator/simulator.js';
import { systemEnvironment } from '../../../src/environment.js';
import { type DriverUnderTest, driverContract } from '../../contract/driver.js';
import { networkDriverContract } from '../../contract/network-driver.js';
import { volumeDriverContract } from '../../contract/volume-driver.js';

const log = pino({ level: 'silent' });

/** Small pages and a page now and then that is short, as on a busy real cloud; quick servers. */
const knobs = { latency: 1, buildTime: 200, actionTime: 50, pageSize: 3, shortPageRate: 0.3, seed: 7 };

async function setup(): Promise<DriverUnderTest> {
  const simulator = await startSimulator({ host: '127.0.0.1', port: 0, knobs, environment: systemEnvironment, log });
  const installation = 'contract';
  const driver = openStackDriver({
    endpoint: simulator.url,
    project: { name: 'demo' },
    credentials: { username: 'demo', password: 'demo-secret', userDomain: 'Default' },
    limits: { requestsPerSecond: 1000, inFlight: 16 },
    environment: systemEnvironment,
    log,
    installation,
  });
  return {
    driver,
    imageId: '11111111-1111-4111-8111-111111111111',
    flavorId: '1',
    otherFlavorId: '2',
    networkId: '44444444-4444-4444-8444-444444444444',
    projectId: 'd3300000000000000000000000000001',
    installation,
    close: async () => {
      await driver.close();
      await simulator.close();
    },
  };
}

const name = 'OpenStack driver on the simulator';
driverContract(name, setup);
networkDriverContract(name, setup);
volumeDriverContract(name, setup);
