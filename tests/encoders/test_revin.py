"""RevIN inverts, sees what is visible alone, and is defined for every window."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from finembed_core.encoders.revin import EPSILON, denormalize, fill_hidden, normalize

SHAPE = (2, 3, 8)
VALUES = hnp.arrays(np.float64, SHAPE, elements=st.floats(-1e3, 1e3))
MASKS = hnp.arrays(np.bool_, SHAPE)
EVERYTHING = hnp.arrays(np.float64, SHAPE, elements=st.floats(allow_nan=True, allow_infinity=True))


@settings(deadline=None)
@given(VALUES, MASKS)
def test_inverts(values, mask):
    windows, visible = torch.from_numpy(values), torch.from_numpy(mask)
    filled = fill_hidden(windows, visible)
    back = denormalize(normalize(filled), filled)
    torch.testing.assert_close(back[visible], windows[visible], atol=1e-9, rtol=1e-12)
    means = filled.mean[..., None].expand(SHAPE)
    torch.testing.assert_close(back[~visible], means[~visible])


@settings(deadline=None)
@given(VALUES, MASKS)
def test_statistics_are_those_of_the_visible_steps(values, mask):
    filled = fill_hidden(torch.from_numpy(values), torch.from_numpy(mask))
    for place in np.ndindex(*SHAPE[:2]):
        seen = values[place][mask[place]]
        mean, variance = (seen.mean(), seen.var()) if len(seen) else (0.0, 0.0)
        np.testing.assert_allclose(filled.mean[place], mean, atol=1e-9)
        np.testing.assert_allclose(filled.spread[place], np.sqrt(variance + EPSILON), atol=1e-9)


@settings(deadline=None)
@given(VALUES, MASKS, EVERYTHING)
def test_what_is_hidden_changes_no_bit(values, mask, anything):
    visible = torch.from_numpy(mask)
    honest = fill_hidden(torch.from_numpy(values), visible)
    other = fill_hidden(torch.from_numpy(np.where(mask, values, anything)), visible)
    for one, same in zip(honest, other, strict=True):
        assert torch.equal(one, same) and torch.isfinite(one).all()
