/** Starts what the page has use for. Without this file every page can still be read. */
import * as alarms from "./alarms";
import * as command from "./command";
import * as firmware from "./firmware";
import * as frame from "./frame";
import * as heat from "./heat";
import * as install from "./install";
import * as keys from "./keys";
import * as live from "./live";
import { page } from "./page";
import * as reads from "./reads";
import * as supplies from "./supplies";
import * as values from "./values";

install.start();
if (page.live) {
  frame.start();
  values.start();
  alarms.start();
  command.start();
  reads.start();
  firmware.start();
  supplies.start();
  keys.start();
  heat.start();
  live.start();
} else {
  frame.clockOnly();
  if (page.field) live.start();
}
