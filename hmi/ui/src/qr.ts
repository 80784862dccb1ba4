/** Reads QR codes where the browser has no reader of its own (BarcodeDetector); loaded when the first picture comes. */
import jsQR from "jsqr";

const LONGEST_SIDE = 1200;                            // pixels that are looked at: a label fills a good part of its picture

export async function detect(source: ImageBitmapSource): Promise<{ rawValue: string }[]> {
  const picture = await createImageBitmap(source);
  const scale = Math.min(1, LONGEST_SIDE / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  const seen = context.getImageData(0, 0, canvas.width, canvas.height);
  const code = jsQR(seen.data, seen.width, seen.height);
  return code ? [{ rawValue: code.data }] : [];
}
