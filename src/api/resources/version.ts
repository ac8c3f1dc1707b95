/** The Kubernetes API that is spoken here, for clients that ask how old it is. */
const SPOKEN = { major: '1', minor: '36' };

/** The document at `/version`: the version of Kubernetes that clients may count on, and ours as its build. */
export function versionDocument(version: string): object {
  const { major, minor } = SPOKEN;
  return {
    major,
    minor,
    gitVersion: `v${major}.${minor}.0+dispatcher-${version}`,
    gitCommit: '',
    gitTreeState: 'clean',
    buildDate: '1970-01-01T00:00:00Z',
    goVersion: '',
    compiler: `node ${process.version}`,
    platform: `${process.platform}/${process.arch}`,
  };
}
