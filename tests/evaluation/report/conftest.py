from pathlib import Path

import pytest
from pages import write_run


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    """One seed of MaliGAN, two of SeqGAN."""
    return [
        write_run(tmp_path / "seqgan-0", seed=0, quality=4.0),
        write_run(tmp_path / "seqgan-1", seed=1, quality=4.2),
        write_run(tmp_path / "maligan-0", "maligan", quality=3.0, warning="another"),
    ]
