import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)

# the same examples every time: a test that fails, fails for everyone
settings.register_profile("textgan", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("textgan")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)
