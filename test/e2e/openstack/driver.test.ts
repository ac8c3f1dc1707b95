import { pino } from 'pino';
import { openStackDriver } from '../../../src/clouds/openstack/driver.js';
import { systemEnvironment } from '../../../src/environment.js';
import { type DriverUnderTest, driverContract } from '../../contract/driver.js';
import { networkDriverContract } from '../../contract/network-driver.js';
import { volumeDriverContract } from '../../contract/volume-driver.js';

/** The cloud that up.sh in this folder makes. */
async function setup(): Promise<DriverUnderTest> {
  const installation = crypto.randomUUID();
  const driver = openStackDriver({
    endpoint: 'http://127.0.0.1:5000/v3',
    region: 'RegionOne',
    project: { name: 'demo', domain: 'Default' },
    credentials: { username: 'demo', password: 'demo-secret', userDomain: 'Default' },
    limits: { requestsPerSecond: 100, inFlight: 16 },
    environment: systemEnvironment,
    log: pino({ level: 'silent' }),
    installation,
  });
  const idOf = (all: readonly { id: string; name: string }[], name: string): string => {
    const found = all.find((one) => one.name === name);
    if (found === undefined) throw new Error(`the cloud has no ${name}`);
    return found.id;
  };
  const flavors = await driver.listFlavors();
  return {
    driver,
    installation,
    imageId: idOf(await driver.listImages(), 'cirros-fake'),
    flavorId: idOf(flavors, 'm1.tiny'),
    otherFlavorId: idOf(flavors, 'm1.small'),
    networkId: idOf(await driver.listNetworks(), 'demo-net'),
    projectId: idOf(await driver.listProjects(), 'demo'),
    close: () => driver.close(),
  };
}

driverContract('OpenStack', setup);
networkDriverContract('OpenStack', setup);
volumeDriverContract('OpenStack', setup);
