"""The player in Chromium: view, sound, sound tracks, overlays, headset, exported page."""

from __future__ import annotations

import base64
import math
import time

import numpy as np
import pytest
import torch

from avssl.media import write_video
from avssl.spatial.ambisonics import rotate, rotation
from avssl.spatial.binaural import to_binaural
from avssl.web.play.export_page import export_page
from avssl.web.play.film import open_film
from avssl.web.play.head_filters import head_filters
from avssl.web.play.play_page import Programme, play_page
from avssl.web.server import running

pytestmark = [pytest.mark.browser, pytest.mark.heavy]
RATE = 48000

RENDER = """
const [view, samples, change, done] = arguments;
(async () => {
  const { Sound } = await import("./static/play/sound.js");
  const { ServedSource } = await import("./static/play/film_source.js");
  const source = new ServedSource(0);
  const film = await source.description();
  const context = new OfflineAudioContext(2, samples, film.rate);
  const sound = await Sound.open(context, film, source);
  await sound.seek(0);
  sound.turn(view);
  sound.play(true);
  await sound.settled();
  if (change) context.suspend(change / film.rate).then(async () => {
    sound.choose(1);
    await sound.settled();
    context.resume();
  });
  const rendered = await context.startRendering();
  const bytes = new Uint8Array(8 * samples);
  [0, 1].forEach((ear) => bytes.set(new Uint8Array(rendered.getChannelData(ear).buffer), ear * 4 * samples));
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  done([btoa(text)]);
})().catch((error) => done(String(error.stack)));
"""
PIXEL = """
const { player } = avssl;
const { sphere, control, energy, opacity } = player;
sphere.draw(control.matrix, control.field, energy, opacity);
const found = new Uint8Array(4);
sphere.gl.readPixels(sphere.canvas.width / 2, sphere.canvas.height / 2, 1, 1, sphere.gl.RGBA, sphere.gl.UNSIGNED_BYTE,
  found);
return [...found.slice(0, 3)];
"""
HEADSET = """
const half = Math.sin(Math.PI / 4);
const identity = { x: 0, y: 0, z: 0, w: 1 };
const left = { x: 0, y: half, z: 0, w: half };
globalThis.headsetPose = identity;
const projection = new Float32Array([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, -1, -1, 0, 0, -0.2, 0]);
class Session extends EventTarget {
  renderState = { baseLayer: null };
  updateRenderState(state) { this.renderState = state; }
  async requestReferenceSpace() { return {}; }
  requestAnimationFrame(draw) {
    const transform = { orientation: globalThis.headsetPose };
    const pose = { transform, views: [{ projectionMatrix: projection, transform }] };
    setTimeout(() => draw(performance.now(), { getViewerPose: () => pose }), 20);
  }
  async end() { this.dispatchEvent(new Event("end")); }
}
Object.defineProperty(navigator, "xr", { value: {
  isSessionSupported: async (mode) => mode === "immersive-vr", requestSession: async () => new Session() } });
globalThis.XRWebGLLayer = class {
  constructor(session, gl) { Object.assign(this, { gl, framebuffer: null }); }
  getViewport() { return { x: 0, y: 0, width: this.gl.drawingBufferWidth, height: this.gl.drawingBufferHeight }; }
};
WebGL2RenderingContext.prototype.makeXRCompatible = async () => {};
globalThis.turnHeadset = () => { globalThis.headsetPose = left; };
"""
WITHOUT_WEBGL = """
const ordinary = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, options) {
  return kind === "webgl2" ? null : ordinary.call(this, kind, options);
};
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, films):
    made = tmp_path_factory.mktemp("films")
    films.write_film(made / "film.mp4", seconds=30.0, azimuth=90)
    films.write_sound(made / "right.wav", films.field(-90, 30.0))
    return made


@pytest.fixture(scope="module")
def programme(folder):
    film = open_film(folder / "film.mp4", folder, tracks={"right": folder / "right.wav"}, progress=False)
    return Programme([film], head_filters(None))


@pytest.fixture(scope="module")
def address(programme):
    with running(play_page(programme)) as found:
        yield found


def wait_for(browser, condition, seconds=40.0):
    """Wait until a JavaScript expression is true; its value."""
    end = time.monotonic() + seconds
    while not (value := browser.execute_script(f"return {condition}")):
        if time.monotonic() > end:
            shown = browser.execute_script("return document.getElementById('message')?.textContent")
            raise AssertionError(f"never true: {condition}; message {shown!r}; {browser.get_log('browser')}")
        time.sleep(0.05)
    return value


def opened(browser, address):
    """Open the player, unless it is open, and wait for its first frame."""
    if browser.current_url != address:
        browser.get(address)
    wait_for(browser, "globalThis.avssl?.player.sphere.shown")


def prepared(browser, script, address):
    """Open a page in which a script has run before all others."""
    command = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
    try:
        browser.get(address)
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", command)


def rendered(browser, view, samples, change=0):
    """`(2, samples)` that the page renders offline from the film's beginning; the second track from `change` on."""
    found = browser.execute_async_script(RENDER, view, samples, change)
    assert isinstance(found, list), found
    return np.frombuffer(base64.b64decode(found[0]), np.float32).reshape(2, samples)


@pytest.fixture(scope="module")
def colour(films):
    """Colour of the film around an azimuth, within what a codec changes."""
    return lambda azimuth: pytest.approx(films.COLOURS[azimuth], abs=25)


def level_difference(ears):
    """Left over right, dB."""
    energy = np.square(np.asarray(ears)[:, RATE // 4 :]).sum(1)
    return 10 * math.log10(energy[0] / energy[1])


def test_a_drag_by_90_degrees_turns_picture_and_sound(chromium, address, programme, colour):
    from selenium.webdriver import ActionChains

    opened(chromium, address)
    view = chromium.find_element("id", "view")
    samples = RATE
    foa = programme.films[0].tracks[0].samples(0, 1.0)
    for azimuth, difference in ((0, 14.4), (90, 0.0)):
        if azimuth:
            pixels = round(math.pi / 2 / chromium.execute_script("return avssl.player.control.perPixel"))
            halves = pixels // 2, pixels - pixels // 2
            for half in halves:  # the view is narrower than 90 degrees
                drag = ActionChains(chromium, duration=10).move_to_element_with_offset(view, -half // 2, 0)
                drag.click_and_hold().move_by_offset(half, 0).release().perform()
        matrix = chromium.execute_script("return avssl.player.control.matrix")
        expected = rotation(math.radians(azimuth))
        assert np.allclose(np.reshape(matrix, (3, 3)), expected, atol=0.01)
        assert chromium.execute_script(PIXEL) == colour(azimuth)
        ears = rendered(chromium, matrix, samples)
        decoded = to_binaural(rotate(foa, expected.mT), programme.filters).numpy()
        assert level_difference(ears) == pytest.approx(level_difference(decoded), abs=0.2)
        assert level_difference(ears) == pytest.approx(difference, abs=1.0)


def test_rendered_sound_is_that_of_to_binaural(chromium, address, programme):
    opened(chromium, address)
    matrix = rotation(0.7, 0.4, -0.3)
    ears = rendered(chromium, matrix.flatten().tolist(), RATE // 2)
    foa = programme.films[0].tracks[0].samples(0, 0.5)
    decoded = to_binaural(rotate(foa, matrix.mT), programme.filters).numpy()
    settled = slice(RATE // 50, None)  # after the fade-in, and the turn in the first quantum
    assert np.abs(ears - decoded)[:, settled].max() < 1e-3 * np.abs(decoded).max()


def test_switching_tracks_leaves_no_gap_and_stays_in_time(chromium, address, programme):
    opened(chromium, address)
    change, samples = 38_400, 76_800  # a multiple of the render quantum
    ears = rendered(chromium, [1, 0, 0, 0, 1, 0, 0, 0, 1], samples, change)
    both = [
        to_binaural(track.samples(0, samples / RATE), programme.filters).numpy() for track in programme.films[0].tracks
    ]
    fade = round(0.010 * RATE) + programme.filters.shape[-1] + 256
    assert np.abs(ears - both[0])[:, RATE // 10 : change].max() < 1e-3
    assert np.abs(ears - both[1])[:, change + fade :].max() < 1e-3
    window = RATE // 200  # 5 ms
    level = np.sqrt(np.square(ears.sum(0)[RATE // 10 :]).reshape(-1, window)[:, :].mean(1))
    assert level.min() > 0.3 * np.median(level)


def test_play_moves_sound_and_picture_together(chromium, address):
    opened(chromium, address)
    chromium.execute_script("document.getElementById('view').focus()")
    chromium.switch_to.active_element.send_keys(" ")
    wait_for(chromium, "avssl.player.seconds > 0.5 && avssl.player.sync.frames > 3")
    chromium.switch_to.active_element.send_keys("2")
    assert wait_for(chromium, "avssl.player.track === 1")
    wait_for(chromium, "avssl.player.energy.peak?.[1] < -0.9")  # the map is that of the track that sounds
    chromium.switch_to.active_element.send_keys(" ")
    assert wait_for(chromium, "!avssl.player.playing && avssl.player.video.paused")
    before = chromium.execute_script("return avssl.player.seconds")
    chromium.switch_to.active_element.send_keys(",")
    assert wait_for(chromium, f"avssl.player.seconds < {before}")
    assert not [each for each in chromium.get_log("browser") if each["level"] == "SEVERE"]


def test_the_picture_stays_within_40_ms_of_the_sound_for_ten_minutes(chromium, address):
    """A video that starts 250 ms late, runs 0.2 % slow, loses 1 ms at each change of rate and 20 ms every 10 s."""
    simulate = """
      const [done] = arguments;
      import("./static/play/picture_sync.js").then(({ PictureSync }) => {
        let [time, at, rate] = [0, -0.25, 1];
        const video = { duration: 1e4, readyState: 4, seeking: false, paused: false, requestVideoFrameCallback() {},
          get currentTime() { return at; }, set currentTime(value) { at = value - 0.05; },
          get playbackRate() { return rate; }, set playbackRate(value) { rate = value; at -= 0.001; } };
        const sync = new PictureSync(video, () => time, () => 1000 * time);
        sync.play(true);
        const late = [];
        for (let frame = 0; time < 600; frame++) {
          time += 1 / 60;
          at += rate * 0.998 / 60 - (frame % 600 === 0 ? 0.02 : 0);
          sync.follow();
          if (time > 3) late.push(time - at);
        }
        done([Math.max(...late), Math.min(...late)]);
      });
    """
    opened(chromium, address)
    most, least = chromium.execute_async_script(simulate)
    assert most < 0.04
    assert least > -0.04


def test_a_simulated_headset_enters_and_turns_picture_and_sound(chromium, address, colour):
    prepared(chromium, HEADSET, address)
    wait_for(chromium, "globalThis.avssl?.player.sphere.shown && !document.getElementById('headset').hidden")
    chromium.execute_script(
        "const { player } = avssl; globalThis.turns = []; "
        "player.sound = { turn: (matrix) => turns.push(matrix), seconds: 0, play() {} };"
    )
    chromium.find_element("id", "headset").click()
    wait_for(chromium, "avssl.player.headset.session && turns.length > 1")
    assert np.allclose(np.reshape(chromium.execute_script("return turns.at(-1)"), (3, 3)), np.eye(3), atol=1e-6)
    chromium.execute_script("turnHeadset()")
    matrix = wait_for(chromium, "turns.at(-1)[3] > 0.9 && turns.at(-1)")
    assert np.allclose(np.reshape(matrix, (3, 3)), rotation(math.pi / 2), atol=1e-6)
    read = """
      const [done] = arguments;
      const { headset, sphere } = avssl.player;
      const ordinary = sphere.paint.bind(sphere);
      sphere.paint = (...given) => {
        ordinary(...given);
        sphere.paint = ordinary;
        const found = new Uint8Array(4);
        const { gl } = sphere;
        gl.readPixels(gl.drawingBufferWidth / 2, gl.drawingBufferHeight / 2, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, found);
        done([...found.slice(0, 3)]);
      };
    """
    assert chromium.execute_async_script(read) == colour(90)
    chromium.find_element("id", "headset").click()
    wait_for(chromium, "avssl.player.headset.session === null")


def test_an_exported_page_plays_from_disk_and_loads_nothing(chromium, programme, tmp_path, colour):
    page = tmp_path / "clip.html"
    export_page(page, programme, start=1.0, seconds=2.0, progress=False)
    opened(chromium, page.as_uri())
    assert chromium.execute_script("return avssl.player.film.seconds") == 2.0
    chromium.find_element("id", "play").click()
    wait_for(chromium, "avssl.player.seconds > 0.3")
    peak = wait_for(chromium, "avssl.player.energy.windows > 2 && avssl.player.energy.peak")
    assert math.degrees(math.atan2(peak[1], peak[0])) == pytest.approx(90, abs=8)
    chromium.execute_script("avssl.player.play(false); avssl.player.control.look(Math.PI / 2, 0)")
    assert chromium.execute_script(PIXEL) == colour(90)
    loaded = chromium.execute_script("return performance.getEntriesByType('resource').map((each) => each.name)")
    assert [each for each in loaded if not each.startswith(("blob:", "data:"))] == []


def test_a_browser_without_webgl2_gets_a_message(chromium, address):
    prepared(chromium, WITHOUT_WEBGL, address)
    assert "expected a browser with WebGL2" in wait_for(
        chromium, "!document.getElementById('message').hidden && document.getElementById('message').textContent"
    )


def test_a_film_without_sound_plays_with_a_message(chromium, tmp_path, programme, films):
    silent = tmp_path / "<img src=x onerror=alert(1)>.mp4"
    write_video(silent, (films.panorama(64) for _ in range(25)), 25.0)
    film = open_film(silent, tmp_path, progress=False)
    with running(play_page(Programme([film], programme.filters))) as address:
        opened(chromium, address)
        assert "no sound" in chromium.find_element("id", "message").text
        assert chromium.find_element("id", "title").text == silent.name
        chromium.find_element("id", "play").click()
        wait_for(chromium, "avssl.player.seconds > 0.3")


def test_blind_tracks_have_letters_until_their_names_are_revealed(chromium, programme):
    blind = Programme(programme.films, programme.filters, blind=True)
    with running(play_page(blind)) as address:
        opened(chromium, address)
        buttons = chromium.find_elements("css selector", "#tracks button")
        assert [each.text for each in buttons] == ["A", "B"]
        assert "right" not in chromium.page_source
        chromium.find_element("id", "reveal").click()
        names = blind.names(0)
        assert sorted(names) == ["recorded", "right"]
        wait_for(chromium, "document.querySelector('#tracks button').textContent.length > 2")
        assert [each.text for each in buttons] == [f"A {names[0]}", f"B {names[1]}"]


REAL = [("video360/JUN314mwb90_49.webm", 2), ("video360/tAiVUt5vE34l_40.webm", 87)]


@pytest.mark.parametrize(("name", "azimuth"), REAL, ids=["flautist", "tractor"])
def test_the_energy_map_lies_on_the_source_of_real_clips(chromium, media, name, azimuth, programme, tmp_path):
    film = open_film(media(f"restricted/{name}"), tmp_path, progress=False)
    measure = """
      const [done] = arguments;
      (async () => {
        const { Sound } = await import("./static/play/sound.js");
        const { player } = avssl;
        const context = new OfflineAudioContext(2, 4.9 * player.film.rate, player.film.rate);
        const sound = await Sound.open(context, player.film, player.source);
        const windows = [];
        sound.onCovariance = (values) => windows.push(values);
        await sound.seek(2.5);
        sound.play(true);
        await sound.settled();
        await context.startRendering();
        await new Promise((resolve) => setTimeout(resolve, 500));
        player.energy.add(windows[0].map((_, at) => windows.reduce((sum, each) => sum + each[at], 0)));
        const columns = [];
        for (let azimuth = -180; azimuth < 180; azimuth += 6) {
          player.control.look(azimuth * Math.PI / 180, 0);
          const [off, on] = [0, 1].map((opacity) => {
            player.sphere.draw(player.control.matrix, 0.5, player.energy, opacity);
            const { gl, canvas } = player.sphere;
            const found = new Uint8Array(4);
            gl.readPixels(canvas.width / 2, canvas.height / 2, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, found);
            return [...found];
          });
          columns.push([azimuth, off, on, windows.length]);
        }
        done(columns);
      })().catch((error) => done(String(error.stack)));
    """
    with running(play_page(Programme([film], programme.filters))) as address:
        opened(chromium, address)
        columns = chromium.execute_async_script(measure)
    assert columns[0][3] >= 45, columns  # windows of 0.1 s
    # Turbo is red where it is strongest: the redder and less blue the map is over the film, the louder.
    change = np.array([np.subtract(on[:3], off[:3])[0] - np.subtract(on[:3], off[:3])[2] for _, off, on, _ in columns])
    spread = torch.tensor([each[0] for each in columns]).deg2rad()
    weight = torch.tensor(change - np.quantile(change, 0.7)).clamp(min=0)
    found = math.degrees(math.atan2(float((weight * spread.sin()).sum()), float((weight * spread.cos()).sum())))
    assert abs((found - azimuth + 180) % 360 - 180) < 20
