// Sums what Jest wrote with --json over suites: `node scripts/summarize.mjs NAME=FILE ...`.
// Prints a line for each suite and each failed test, and in the end "N passed, N failed, N skipped".
// A suite that left no results, or a file of tests that could not run, counts as one failure. Exit 1 on any failure.
import { readFileSync } from 'node:fs';

const total = { passed: 0, failed: 0, skipped: 0 };
for (const argument of process.argv.slice(2)) {
  const [name, file] = argument.split(/=(.*)/s);
  const { passed, failed, skipped, messages } = count(file);
  for (const message of messages) process.stdout.write(`FAILED ${name}: ${message}\n`);
  process.stdout.write(`${name}: ${passed} passed, ${failed} failed, ${skipped} skipped\n`);
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
}
process.stdout.write(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);
process.exitCode = total.failed > 0 ? 1 : 0;

function count(file) {
  let results;
  try {
    results = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return { passed: 0, failed: 1, skipped: 0, messages: ['it left no results'] };
  }
  const broken = results.testResults.filter((suite) => suite.status === 'failed' && suite.assertionResults.length === 0);
  const failures = results.testResults.flatMap((suite) => suite.assertionResults.filter(({ status }) => status === 'failed'));
  return {
    passed: results.numPassedTests,
    failed: failures.length + broken.length,
    skipped: results.numPendingTests + results.numTodoTests,
    messages: [
      ...broken.map((suite) => `${suite.name} could not run: ${String(suite.message).split('\n', 1)[0]}`),
      ...failures.map((test) => test.fullName),
    ],
  };
}
