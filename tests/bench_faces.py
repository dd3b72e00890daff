"""Images a second of `arl.faces.render` on one thread: python tests/bench_faces.py [size ...]"""

import sys
import time

from arl import faces

if __name__ == "__main__":
    faces.render(4, 4, 32)  # noise tiles and thresholds are made once
    for size in [int(word) for word in sys.argv[1:]] or [48, 64, 128, 288]:
        count = max(2, 40_000_000 // (size * size * 64))
        best = 0.0
        for _ in range(3):  # the best of three: other processes only ever make it slower
            start = time.perf_counter()
            faces.render(count, 4, size)
            best = max(best, 4 * count / (time.perf_counter() - start))
        print(f"{size:4d} px  {best:7.1f} images/s", flush=True)
