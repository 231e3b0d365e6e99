import pytest

from facerec.pipeline.lazy import lazy_names


def test_a_name_that_is_not_there():
    get, _ = lazy_names("json", {"JSONDecoder": "decoder"})
    with pytest.raises(AttributeError, match="module 'json' has no attribute 'Decoder'; it has JSONDecoder"):
        get("Decoder")
