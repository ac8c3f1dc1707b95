/** Manifests, as people write them, that both planes must take as they stand. */
export const GOOD_MANIFESTS = {
  'a rule for whichever machines bear a label': `
apiVersion: dispatcher.dev/v1alpha1
kind: FirewallRule
metadata: {name: web, namespace: default}
spec: {cloudRef: {name: lab}, selector: {matchLabels: {app: web}}, direction: Ingress, protocol: TCP, ports: [{from: 80}, {from: 8000, to: 8100}], cidrs: [0.0.0.0/0, "::/0"]}
`,
  'a rule that follows a user': `
apiVersion: dispatcher.dev/v1alpha1
kind: FirewallRule
metadata: {name: alice-ssh, namespace: default}
spec: {cloudRef: {name: lab}, assignmentRef: {name: alice}, direction: Ingress, protocol: TCP, ports: [{from: 22}], cidrs: [198.51.100.7/32]}
`,
  'a volume that follows a user': `
apiVersion: dispatcher.dev/v1alpha1
kind: Volume
metadata: {name: alice-home, namespace: default}
spec: {cloudRef: {name: lab}, sizeGiB: 10, attachTo: {assignmentRef: {name: alice}}, deletionPolicy: Retain}
`,
  'every port, and not one number twice': `
apiVersion: dispatcher.dev/v1alpha1
kind: FirewallRule
metadata: {name: much, namespace: default}
spec:
  cloudRef: {name: lab}
  virtualMachineRef: {name: web-1}
  direction: Egress
  protocol: UDP
  ports: [{from: 1, to: 1}, {from: 3}, {from: 4, to: 65534}, {from: 65535}]
  cidrs: [192.0.2.7/32, 0.0.0.0/1, "2001:DB8::/32", "2001:db8:0:0::/64", "::1/128", "::/0", "64:ff9b::c000:200/120"]
`,
  'one message of ICMP, from one family': `
apiVersion: dispatcher.dev/v1alpha1
kind: FirewallRule
metadata: {name: ping, namespace: default}
spec:
  cloudRef: {name: lab}
  selector: {matchLabels: {}}
  direction: Ingress
  protocol: ICMP
  icmp: {type: 8, code: 0}
  cidrs: [10.0.0.0/8, 192.168.0.0/16]
`,
  'any protocol, from the machines of another rule': `
apiVersion: dispatcher.dev/v1alpha1
kind: FirewallRule
metadata: {name: peers, namespace: default}
spec: {cloudRef: {name: lab}, selector: {matchLabels: {app: db}}, direction: Ingress, protocol: Any, peerRef: {name: web}}
`,
  'one port of two protocols, for a user': `
apiVersion: dispatcher.dev/v1alpha1
kind: VirtualMachineAssignment
metadata: {name: bob, namespace: default}
spec:
  user: bob
  application: galaxy
  ports: [{from: 53, protocol: TCP}, {from: 53, protocol: UDP}, {from: 8000, to: 8100, protocol: TCP}]
  userCidrs: [198.51.100.7/32, "2001:db8::7/128"]
`,
  'a volume that is there already, attached to a machine': `
apiVersion: dispatcher.dev/v1alpha1
kind: Volume
metadata: {name: data, namespace: default}
spec:
  cloudRef: {name: lab}
  sizeGiB: 1
  type: fast
  attachTo: {virtualMachineRef: {name: web-1}}
  adopt: {name: data}
  deletionPolicy: Delete
`,
} as const;
