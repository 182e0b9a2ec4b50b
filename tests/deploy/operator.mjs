// Flows in: the directory of the npm packages, and JSON files with one operator object each. Flows out: a line for each
// object; exit 1 if one is not what the Prometheus operator's schema says. Unknown keys are not found here: the rules are
// compared with files that promtool reads strictly.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [modules, ...files] = process.argv.slice(2);
for (const file of files) {
  const object = JSON.parse(readFileSync(file, "utf8"));
  const name = `${object.kind} ${object.metadata?.name}`;
  try {
    const kinds = await import(
      pathToFileURL(`${modules}/@kubernetes-models/prometheus-operator/${object.apiVersion}/index.js`)
    );
    new kinds[object.kind](object).validate();
    console.log(`${name}: valid`);
  } catch (error) {
    console.log(`${name}: ${error.message}`);
    process.exitCode = 1;
  }
}
