/** The installer's page: a module as it is heard, the camera that reads its label, photos small enough for a slow line. */
import { on, want } from "./live";
import { page, stamp } from "./page";

interface Channel { channel: number; pulses: number | null; read_ms: number; first_pulse_ms: number; installed: boolean }
interface Seen {
  state: string; parent: string; level: number | null; rssi_down_dbm: number | null; rssi_up_dbm: number | null;
  heard_ms: number; heard_by: { concentrator: string; rssi_dbm: number | null }[]; asking: string; channels: Channel[];
}

const EVERY_MS = 5000;
const LONGEST_SIDE = 1600;                            // pixels of a photo that is sent: a serial number is still readable

function text(place: ParentNode, field: string, said: string): void {
  const found = place.querySelector(`[data-field="${field}"]`);
  if (found && found.textContent !== said) found.textContent = said;
}

const whole = (value: number | null): string => (value === null ? "–" : value.toFixed(0));

function show(root: HTMLElement, seen: Seen): void {
  const installed = seen.channels.filter((one) => one.installed).length;
  if (seen.state !== root.dataset.state || String(installed) !== root.dataset.installed) {
    location.reload();                                // other buttons than before; nothing is typed on this page
    return;
  }
  text(root, "heard_by", seen.heard_by.map((one) => `${one.concentrator} ${whole(one.rssi_dbm)} dBm`).join(", ") || "–");
  text(root, "heard", seen.heard_ms ? stamp(seen.heard_ms) : "–");
  text(root, "rssi_down", whole(seen.rssi_down_dbm));
  text(root, "rssi_up", whole(seen.rssi_up_dbm));
  text(root, "parent", seen.parent || "–");
  text(root, "level", whole(seen.level));
  const asking = root.querySelector<HTMLElement>("[data-asking]");
  if (asking) asking.hidden = !seen.asking;
  const ask = root.querySelector<HTMLButtonElement>("[data-ask]");
  if (ask) ask.disabled = Boolean(seen.asking);
  for (const one of seen.channels) {
    const place = root.querySelector(`[data-channel="${one.channel}"]`);
    if (!place) continue;
    text(place, "pulses", whole(one.pulses));
    text(place, "read", one.read_ms ? stamp(one.read_ms) : "");
    if (one.first_pulse_ms) text(place, "first", `✓ ${stamp(one.first_pulse_ms)}`);
  }
}

function follow(root: HTMLElement): void {
  let busy = false;
  const look = async (): Promise<void> => {
    if (busy || document.hidden) return;
    busy = true;
    try {
      const answer = await fetch(`/api/v1/install/${root.dataset.install}`, { headers: { Accept: "application/json" } });
      if (answer.ok) show(root, (await answer.json()) as Seen);
      else if (answer.status === 401) location.reload();
    } catch {
      // no line just now: the next look tries again, and what stands there keeps its time
    }
    busy = false;
  };
  on("read", () => void look());
  on("tags", () => void look());                      // a report of the module's link
  if ((page.live || page.field) && root.dataset.device) want([`${root.dataset.device}/link_rssi_up`]);
  setInterval(() => void look(), EVERY_MS);
}

// ------------------------------------------------------------------ scanning: by the browser's reader, or by ours
interface Detector { detect(source: ImageBitmapSource): Promise<{ rawValue: string }[]> }
type DetectorClass = { new (): Detector };

/** The browser's own knows every kind of code; ours knows QR codes, and comes when it is needed first. */
function reader(): Detector {
  const Own = (window as unknown as { BarcodeDetector?: DetectorClass }).BarcodeDetector;
  return Own ? new Own() : { detect: async (source) => (await import("./qr")).detect(source) };
}

function scanning(form: HTMLFormElement, detector: Detector): void {
  const input = form.querySelector<HTMLInputElement>("#eui")!;
  const fault = form.querySelector<HTMLElement>("[data-scan-fault]")!;
  const view = form.querySelector<HTMLVideoElement>("[data-scan-view]")!;
  const camera = form.querySelector<HTMLButtonElement>("[data-scan-camera]")!;
  const photo = form.querySelector<HTMLElement>("[data-scan-photo]")!;

  const take = async (source: ImageBitmapSource): Promise<boolean> => {
    const codes = await detector.detect(source);
    const code = codes.map((one) => one.rawValue).find((one) => one.replace(/[^0-9A-Fa-f]/g, "").length >= 16);
    if (!code) return false;
    input.value = code;
    form.requestSubmit();
    return true;
  };
  const missing = (): void => {
    fault.textContent = fault.dataset.none ?? "";
    fault.hidden = false;
  };

  photo.hidden = false;
  photo.querySelector("input")!.addEventListener("change", async (event) => {
    const file = (event.target as HTMLInputElement).files?.[0];
    if (!file) return;
    try {
      if (!(await take(await createImageBitmap(file)))) missing();
    } catch {
      missing();
    }
  });

  if (!navigator.mediaDevices) return;                // needs a secure page
  camera.hidden = false;
  camera.addEventListener("click", async () => {
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      view.srcObject = stream;
      view.hidden = false;
      await view.play();
      const look = async (): Promise<void> => {
        if (await take(view).catch(() => false)) stream.getTracks().forEach((track) => track.stop());
        else setTimeout(() => void look(), 200);
      };
      void look();
    } catch {
      camera.hidden = true;                           // refused, or no camera: the photo and the keyboard are left
      view.hidden = true;
    }
  });
}

/** A smaller photo in the field, turned as the camera held it; the one that was taken if that does not work. */
async function shrink(input: HTMLInputElement): Promise<void> {
  const file = input.files?.[0];
  if (!file) return;
  try {
    const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
    const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(bitmap.width * scale);
    canvas.height = Math.round(bitmap.height * scale);
    canvas.getContext("2d")!.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/jpeg", 0.8));
    if (!blob || (blob.size > file.size && scale === 1)) return;
    const list = new DataTransfer();
    list.items.add(new File([blob], "meter.jpg", { type: "image/jpeg" }));
    input.files = list.files;
  } catch {
    // the server refuses what it cannot use, in words
  }
}

export function start(): void {
  const root = document.querySelector<HTMLElement>("[data-install]");
  if (root) follow(root);
  const form = document.querySelector<HTMLFormElement>("form[data-scan]");
  if (form) scanning(form, reader());
  const photo = document.querySelector<HTMLInputElement>("[data-shrink]");
  if (photo) {
    photo.addEventListener("change", () => {
      const button = photo.form?.querySelector<HTMLButtonElement>("button");
      if (button) button.disabled = true;
      void shrink(photo).finally(() => button && (button.disabled = false));
    });
  }
}
