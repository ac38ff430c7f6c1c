/** Draws a film by WebGL2: equirectangular frames from inside the sphere, or flat frames, and the energy map over them. */

const VERTEX = `#version 300 es
out vec2 place;
void main() {
  vec2 corner = vec2(gl_VertexID % 2, gl_VertexID / 2) * 4.0 - 1.0;
  place = corner;
  gl_Position = vec4(corner, 0.0, 1.0);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec2 place;
out vec4 colour;
uniform sampler2D frames, palette;
uniform mat3 view;
uniform vec2 tangent, shift, letterbox;
uniform mat4 energy;
uniform float opacity, panoramic, shown;
const float PI = 3.141592653589793;
void main() {
  vec2 ray = (place + shift) * tangent;
  vec3 towards = normalize(view * vec3(1.0, -ray.x, ray.y));
  vec2 sphere = vec2(0.5 - atan(towards.y, towards.x) / (2.0 * PI), 0.5 - asin(clamp(towards.z, -1.0, 1.0)) / PI);
  vec2 flatten = 0.5 + vec2(0.5, -0.5) * place * letterbox;
  bool outside = any(lessThan(flatten, vec2(0.0))) || any(greaterThan(flatten, vec2(1.0)));
  vec2 at = panoramic > 0.5 ? sphere : flatten;
  vec3 film = shown > 0.5 ? textureLod(frames, at, 0.0).rgb : vec3(0.1);
  if (panoramic < 0.5 && outside) film = vec3(0.0);
  vec4 harmonics = vec4(1.0, towards.y, towards.z, towards.x);
  float strength = clamp(dot(harmonics, energy * harmonics), 0.0, 1.0);
  colour = vec4(mix(film, texture(palette, vec2(strength, 0.5)).rgb, opacity * strength), 1.0);
}`;

const UNIFORMS = ["frames", "palette", "view", "tangent", "shift", "letterbox", "energy", "opacity", "panoramic", "shown"];

/** A canvas in which one film is drawn. */
export class Sphere {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Uint8Array} palette 256 colours, RGB
   * @param {boolean} panoramic whether the frames are equirectangular
   */
  constructor(canvas, palette, panoramic) {
    const gl = canvas.getContext("webgl2", { antialias: false, alpha: false, xrCompatible: true });
    if (!gl) throw new Error("expected a browser with WebGL2, this one has none or has it switched off: allow " +
      "hardware acceleration in its settings, or open this address in another browser");
    Object.assign(this, { canvas, gl, panoramic, aspect: 2, shown: false });
    this.program = linked(gl);
    this.uniforms = Object.fromEntries(UNIFORMS.map((name) => [name, gl.getUniformLocation(this.program, name)]));
    gl.useProgram(this.program);
    this.frames = texture(gl, 0, panoramic ? gl.REPEAT : gl.CLAMP_TO_EDGE);
    texture(gl, 1, gl.CLAMP_TO_EDGE);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB8, 256, 1, 0, gl.RGB, gl.UNSIGNED_BYTE, palette);
    gl.uniform1i(this.uniforms.frames, 0);
    gl.uniform1i(this.uniforms.palette, 1);
    gl.uniform1f(this.uniforms.panoramic, panoramic ? 1 : 0);
  }

  /** Take the present frame of a video. */
  upload(video) {
    const { gl } = this;
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.frames);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, video);
    this.aspect = video.videoWidth / video.videoHeight;
    this.shown = true;
  }

  /** Fit the canvas to its place on the page; its width over its height. */
  fit() {
    const ratio = Math.min(devicePixelRatio, 2);
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight].map((side) => Math.round(side * ratio));
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    return width / Math.max(1, height);
  }

  /**
   * Draw the page's view.
   * @param {number[]} view axes of the view as columns
   * @param {number} field vertical field of view, radians
   * @param {EnergyMap} energy map
   * @param {number} opacity of the loudest direction, 0 to 1
   */
  draw(view, field, energy, opacity) {
    const aspect = this.fit();
    const half = Math.tan(field / 2);
    this.gl.bindFramebuffer(this.gl.FRAMEBUFFER, null);
    this.gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    this.paint(view, [half * aspect, half], [0, 0], energy, opacity, aspect);
  }

  /** Draw into the present viewport; tangents of half the field of view, and the shift of its centre. */
  paint(view, tangent, shift, energy, opacity, aspect = 1) {
    const { gl, uniforms } = this;
    gl.useProgram(this.program);
    const wide = Math.max(1, aspect / this.aspect);
    const high = Math.max(1, this.aspect / aspect);
    gl.uniformMatrix3fv(uniforms.view, true, view);
    gl.uniform2fv(uniforms.tangent, tangent);
    gl.uniform2fv(uniforms.shift, shift);
    gl.uniform2f(uniforms.letterbox, wide, high);
    gl.uniformMatrix4fv(uniforms.energy, false, energy.matrix());
    gl.uniform1f(uniforms.opacity, this.panoramic ? opacity * energy.presence : 0);
    gl.uniform1f(uniforms.shown, this.shown ? 1 : 0);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }
}

function texture(gl, unit, wrap) {
  const made = gl.createTexture();
  gl.activeTexture(gl.TEXTURE0 + unit);
  gl.bindTexture(gl.TEXTURE_2D, made);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.LINEAR);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, wrap);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
  return made;
}

function linked(gl) {
  const program = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(`WebGL2: ${gl.getProgramInfoLog(program)}`);
  return program;
}
