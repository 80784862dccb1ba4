/** The SharedWorker around `Core`: every tab is a port. */
import { Core, type ToCore } from "./core";

const core = new Core();
const scope = self as unknown as { onconnect: (event: MessageEvent) => void };

scope.onconnect = (event) => {
  const port = event.ports[0];
  if (!port) return;
  const tab = core.join((news) => port.postMessage(news));
  port.onmessage = (message) => tab.hear(message.data as ToCore);
};
setInterval(() => core.sweep(150_000), 10_000);      // hidden tabs may be slowed down to one timer a minute
