/** Immersive view by WebXR: the headset's pose turns picture and sound. */

import { matrixOfOrientation } from "./rotation.js";

/** Whether the browser can show an immersive view. */
export async function hasHeadset() {
  try {
    return Boolean(await navigator.xr?.isSessionSupported("immersive-vr"));
  } catch {
    return false;
  }
}

/** One immersive session. */
export class Headset {
  /**
   * @param {Sphere} sphere draws
   * @param {object} hooks `turn(matrix)` for the sound, `energy()` gives the map and its opacity, `frame()` before each
   *   frame, `ended()`
   */
  constructor(sphere, hooks) { Object.assign(this, { sphere, hooks, session: null }); }

  async enter() {
    const { gl } = this.sphere;
    this.session = await navigator.xr.requestSession("immersive-vr", { optionalFeatures: ["local"] });
    await gl.makeXRCompatible();
    this.session.updateRenderState({ baseLayer: new XRWebGLLayer(this.session, gl) });
    this.space = await this.session.requestReferenceSpace("local");
    this.session.addEventListener("end", () => this.#ended());
    this.session.requestAnimationFrame((time, frame) => this.#draw(frame));
  }

  leave() { return this.session?.end(); }

  #ended() {
    this.session = null;
    this.hooks.ended();
  }

  #draw(frame) {
    if (!this.session) return;
    this.session.requestAnimationFrame((time, next) => this.#draw(next));
    this.hooks.frame();
    const pose = frame.getViewerPose(this.space);
    if (!pose) return;
    this.hooks.turn(matrixOfOrientation(pose.transform.orientation));
    const layer = this.session.renderState.baseLayer;
    this.sphere.gl.bindFramebuffer(this.sphere.gl.FRAMEBUFFER, layer.framebuffer);
    for (const view of pose.views) this.#eye(layer.getViewport(view), view);
  }

  /** Draw one eye; both see the same sphere, infinitely far away. */
  #eye({ x, y, width, height }, { projectionMatrix: p, transform }) {
    this.sphere.gl.viewport(x, y, width, height);
    const { map, opacity } = this.hooks.energy();
    this.sphere.paint(
      matrixOfOrientation(transform.orientation), [1 / p[0], 1 / p[5]], [p[8], p[9]], map, opacity, width / height);
  }
}
