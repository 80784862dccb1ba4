"""Metadata, dependencies, the `scada` command and the package data. Tool settings are in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = next(
    line.split('"')[1]
    for line in (HERE / "scada" / "__init__.py").read_text(encoding="utf-8").splitlines()
    if line.startswith("__version__")
)

setup(
    name="scada",
    version=VERSION,
    description="SCADA-style integration server for electricity distribution and utility metering",
    long_description=(HERE / "README.md").read_text(encoding="utf-8") if (HERE / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    python_requires=">=3.11",
    packages=find_packages(include=["scada", "scada.*", "hmi", "hmi.*", "config", "config.*"]),
    package_data={
        "scada": ["**/*.sql", "**/*.mako", "**/*.ini"],
        "hmi": ["templates/**/*.html", "translations/**/*", "ui/dist/**/*"],
        "config": ["**/*.yaml", "**/*.json", "**/*.csv"],
    },
    install_requires=[
        "twisted>=26.4",
        "attrs>=24",
        "numpy>=2.0",
        "pymodbus>=3.16,<3.17",          # the client's API moves between minors
        "asyncua>=2.1,<2.2",             # the address space is built through internals, held by a test
        "pyserial>=3.5",
        "influxdb-client>=1.50",
        "flask>=3.1",
        "flask-babel>=4.0",
        "argon2-cffi>=25.1",
        "pyyaml>=6.0",
        "pydantic>=2.10",
        "sqlalchemy>=2.0",
        "alembic>=1.14",
        "cbor2>=6.0",
        "cryptography>=44",
        "zstandard>=0.23",
        "click>=8.1",
        "rich>=13",
        "tzdata>=2026.1",
    ],
    extras_require={
        "postgresql": ["psycopg[binary]>=3.2"],
        "parquet": ["pyarrow>=19"],      # `scada historian export` and `import`; 150 MB, so only where somebody wants it
        "network": ["power-grid-model>=1.12"],       # meshed and odd low-voltage networks; radial ones need nothing
        "exact": ["scipy>=1.15"],        # `scada balance phases --exact`: small groups, the worst hour
        "test": [
            "pytest>=9", "pytest-timeout", "pytest-xdist", "hypothesis", "playwright", "pyModbusTCP", "psutil", "segno",
            "pyarrow>=19", "dss-python>=0.15", "power-grid-model>=1.12", "scipy>=1.15", "ruff", "mypy", "import-linter",
            "types-PyYAML",
        ],
    },
    entry_points={"console_scripts": ["scada = scada.cli:main"]},
)
