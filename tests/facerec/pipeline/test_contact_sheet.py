import numpy as np

from facerec.pipeline.contact_sheet import contact_sheet


def picture(value, size=2):
    return np.full((size, size, 3), value, np.uint8)


def test_by_hand():
    sheet = contact_sheet([[picture(1), None, picture(2)], [picture(3)]], 3, 2, paper=9)
    assert sheet.dtype == np.uint8
    assert sheet[..., 0].tolist() == [[1, 1, 9, 9, 2, 2]] * 2 + [[3, 3, 9, 9, 9, 9]] * 2
    assert (sheet == sheet[..., :1]).all()


def test_gaps_and_a_margin():
    sheet = contact_sheet([[picture(1), picture(2)], [picture(3)]], 2, 2, paper=0, gap=1, left=3)
    assert sheet[..., 0].tolist() == [
        [0] * 9,
        [0, 0, 0, 1, 1, 0, 2, 2, 0],
        [0, 0, 0, 1, 1, 0, 2, 2, 0],
        [0] * 9,
        [0, 0, 0, 3, 3, 0, 0, 0, 0],
        [0, 0, 0, 3, 3, 0, 0, 0, 0],
        [0] * 9,
    ]
