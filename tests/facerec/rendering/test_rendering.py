import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerec.rendering.camera import TEMPLATE, align, cast, excess, landmarks, project, rays, rotation, similarity
from facerec.rendering.person import CLIP, SPREAD, TRAITS, draw_person
from facerec.rendering.photograph import OCCLUDERS, Photograph, draw_photograph, next_frame
from facerec.rendering.render import Sitter, pose, render
from facerec.rendering.surface import GRID, axis, directions, normals, sample, to_map


@pytest.fixture(scope="module")
def sitter() -> Sitter:
    return Sitter(draw_person(np.random.default_rng(3)))


def passport(sitter: Sitter, **changes: object) -> Photograph:
    shot = draw_photograph(np.random.default_rng(0), sitter.person, difficulty=0.0)
    return dataclasses.replace(shot, glasses=0, **changes)


def nose_offset(sitter: Sitter, yaw: float) -> float:
    """How far right of the middle of the eyes the nose tip is seen, in distances between the eyes."""
    points = landmarks(sitter.person, sitter.radii)
    seen = project(points, rotation(yaw, 0, 0), 8.0)
    across = seen[1] - seen[0]
    return float((seen[2] - (seen[0] + seen[1]) / 2) @ across / (across @ across))


def test_map_of_directions_is_its_own_inverse():
    u, v, distance = to_map(*directions(GRID))
    inner = u**2 + v**2 < 3.5
    np.testing.assert_allclose(distance, 1, atol=1e-5)
    np.testing.assert_allclose(u[inner], np.broadcast_to(axis(GRID), u.shape)[inner], atol=1e-4)
    np.testing.assert_allclose(v[inner], np.broadcast_to(axis(GRID)[:, None], v.shape)[inner], atol=1e-4)


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3))
@settings(max_examples=25, deadline=None)
def test_rotation_is_a_rotation(yaw: float, pitch: float, roll: float):
    turn = rotation(yaw, pitch, roll)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)


def test_rotation_directions():
    front = np.array([0.0, 0.0, 1.0])
    assert (rotation(0.3, 0, 0) @ front)[0] > 0  # yaw: to image right
    assert (rotation(0, 0.3, 0) @ front)[1] > 0  # pitch: down
    assert (rotation(0, 0, 0.3) @ [0.0, -1.0, 0.0])[0] > 0  # roll: the crown goes right, clockwise


@given(st.floats(-3, 3), st.floats(0.2, 4), st.floats(-50, 50), st.floats(-50, 50))
@settings(max_examples=25, deadline=None)
def test_similarity_is_recovered(angle: float, scale: float, x: float, y: float):
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    m, c = similarity(TEMPLATE, TEMPLATE @ turn.T + [x, y])
    assert m == pytest.approx(scale * np.exp(1j * angle), abs=1e-6)
    assert c == pytest.approx(complex(x, y), abs=1e-4)


def test_a_ball_is_hit_where_geometry_says():
    ball = np.full((GRID, GRID), 0.8, np.float32)
    turn, distance = rotation(0.4, -0.2, 0.1), 10.0
    similar = 50.0 + 0j, 55.5 + 55.5j
    depth = cast(ball, rays(96, similar, turn, distance), rays(24, similar, turn, distance))
    places = ((np.arange(96) + 0.5) * (112 / 96) - 0.5 - 55.5) / 50
    squares = places[None, :] ** 2 + places[:, None] ** 2
    # |(X (D - z) / D, Y (D - z) / D, z)| = 0.8, the root nearer to the camera.
    a, b, c = 1 + squares / distance**2, -squares / distance, squares - 0.8**2
    under = b * b - a * c
    hit = under > 0.02
    expected = (-b[hit] + np.sqrt(under[hit])) / a[hit]
    np.testing.assert_allclose(depth[hit], expected, atol=3e-3)
    assert np.isnan(depth[under < -0.02]).all()


def test_every_hit_lies_on_the_head(sitter: Sitter):
    shot = passport(sitter, yaw=0.6)
    turn = rotation(shot.yaw, 0, 0)
    radii = pose(sitter, shot).radii
    aligned = align(sitter.person, radii, shot, turn)
    fine = rays(112, aligned, turn, shot.distance)
    depth = cast(radii, fine, rays(28, aligned, turn, shot.distance))
    hit = np.isfinite(depth)
    off = excess(radii, fine.at(np.where(hit, depth, 0)))[hit]
    assert hit.mean() > 0.4
    assert np.quantile(np.abs(off), 0.98) < 0.01


def test_normals_of_a_ball_point_outwards():
    ball = np.full((GRID, GRID), 0.7, np.float32)
    inner = np.s_[GRID // 4 : -GRID // 4, GRID // 4 : -GRID // 4]
    unit = np.moveaxis(directions(GRID), 0, -1)
    assert (normals(ball)[inner][..., :3] * unit[inner]).sum(-1).min() > 0.999


def test_the_nose_moves_against_the_eyes_as_only_a_solid_head_does(sitter: Sitter):
    frontal, right, left = (nose_offset(sitter, yaw) for yaw in (0.0, 0.5, -0.5))
    assert abs(frontal) < 0.1
    assert right > frontal + 0.2
    assert left < frontal - 0.2


def test_a_flat_picture_has_no_parallax(sitter: Sitter):
    flat = landmarks(sitter.person, sitter.radii)
    flat[:, 2] = flat[:, 2].mean()
    seen = [project(flat, rotation(yaw, 0, 0), 1e6) for yaw in (0.0, 0.5)]
    offsets = [(p[2] - (p[0] + p[1]) / 2)[0] / (p[1] - p[0])[0] for p in seen]
    assert offsets[0] == pytest.approx(offsets[1], abs=1e-5)


def test_parallax_shows_in_the_pixels(sitter: Sitter):
    """A yawed photograph isn't any affine warp of the frontal one: the far cheek is hidden behind the nose."""
    turn = rotation(0.7, 0, 0)
    shot = passport(sitter, yaw=0.7)
    aligned = align(sitter.person, sitter.radii, shot, turn)
    fine = rays(112, aligned, turn, shot.distance)
    depth = cast(sitter.radii, fine, rays(28, aligned, turn, shot.distance))
    seen = fine.at(depth)[0]
    rows = seen[60:90]
    widths = np.nanmax(rows, axis=1), -np.nanmin(rows, axis=1)
    assert np.median(widths[1]) > 2 * np.median(widths[0])


def test_a_passport_photograph_has_its_landmarks_on_the_template(sitter: Sitter):
    shot = passport(sitter)
    turn = rotation(shot.yaw, shot.pitch, shot.roll)
    radii = pose(sitter, shot).radii
    m, c = align(sitter.person, radii, shot, turn)
    seen = project(landmarks(sitter.person, radii), turn, shot.distance) @ np.array([1, 1j]) * m + c
    assert np.abs(seen - TEMPLATE @ np.array([1, 1j])).max() < 7


def test_traits_stay_in_their_range():
    people = [draw_person(np.random.default_rng(seed)) for seed in range(40)]
    for name, (mean, deviation, sex) in TRAITS.items():
        values = np.array([person[name] for person in people])
        assert (np.abs(values - mean) <= CLIP * SPREAD * deviation + abs(sex) + 1e-9).all()
        assert values.std() > 0


@pytest.mark.parametrize("size", [32, 112, 160])
def test_size(sitter: Sitter, size: int):
    image = render(sitter, passport(sitter), size)
    assert image.shape == (size, size, 3)
    assert image.dtype == np.uint8
    assert image.std() > 10


def test_same_shot_same_pixels(sitter: Sitter):
    shot = draw_photograph(np.random.default_rng(5), sitter.person)
    first = render(sitter, shot)
    render(sitter, draw_photograph(np.random.default_rng(6), sitter.person))
    np.testing.assert_array_equal(first, render(sitter, shot))
    np.testing.assert_array_equal(first, render(Sitter(sitter.person), shot))


def test_things_in_the_way_change_the_picture(sitter: Sitter):
    plain = render(sitter, passport(sitter)).astype(float)
    changed = {name: render(sitter, passport(sitter, occluder=name)) for name in OCCLUDERS}
    for name, image in changed.items():
        assert (np.abs(image - plain).max(-1) > 20).mean() > 0.01, name
    for kind in (1, 2):
        image = render(sitter, dataclasses.replace(passport(sitter), glasses=kind))
        assert (np.abs(image - plain).max(-1) > 20).mean() > 0.01


def test_open_mouth_and_closed_eyes_change_where_they_are(sitter: Sitter):
    plain = render(sitter, passport(sitter, smile=0.0, jaw=0.0)).astype(float)
    mouth = np.abs(render(sitter, passport(sitter, smile=0.0, jaw=1.0)) - plain).max(-1)
    aligned = np.abs(render(sitter, passport(sitter, smile=0.0, jaw=0.0, lids=0.0)) - plain).max(-1)
    assert mouth[84:104, 40:72].mean() > 3 * mouth[:40].mean()
    assert aligned[44:60, 28:84].mean() > 5 * aligned[75:].mean()


def test_grey_is_grey(sitter: Sitter):
    image = render(sitter, passport(sitter, saturation=0.0, noise=5.0)).astype(int)
    assert np.abs(image - image[..., :1]).max() <= 1


def test_without_difficulty_photographs_of_a_person_agree(sitter: Sitter):
    def spread(difficulty: float) -> float:
        images = [
            render(sitter, draw_photograph(np.random.default_rng(seed), sitter.person, difficulty))[30:95, 30:80]
            for seed in range(8)
        ]
        return float(np.std(images, axis=0).mean())

    assert spread(0.0) < 0.75 * spread(1.0)


def test_frames_of_a_video_share_the_scene(sitter: Sitter):
    rng = np.random.default_rng(1)
    first = draw_photograph(rng, sitter.person)
    frame = next_frame(rng, first)
    assert (frame.scene, frame.look, frame.occluder, frame.exposure) == (
        first.scene,
        first.look,
        first.occluder,
        first.exposure,
    )
    assert frame.light is first.light
    assert frame.yaw != first.yaw
    assert abs(frame.yaw - first.yaw) < 0.5


@pytest.mark.parametrize("seed", range(12))
def test_no_photograph_is_unusable(seed: int):
    rng = np.random.default_rng(seed)
    sitter = Sitter(draw_person(rng))
    shot = dataclasses.replace(draw_photograph(rng, sitter.person, 2.0), motion=(0.0, 0.0))
    image = render(sitter, shot)
    assert image.std() > 4
    assert np.isfinite(pose(sitter, shot).radii).all()
    assert sample(sitter.radii, np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32))[0, 0] > 0.5
