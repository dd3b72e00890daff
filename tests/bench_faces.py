"""Images a second of `arl.faces.render` in one thread: python tests/bench_faces.py [size ...]

The second column counts processor time only, which other processes disturb less.
"""

import sys
import time

from arl import faces

if __name__ == "__main__":
    faces.render(4, 4, 32)  # noise tiles and thresholds are made once
    for size in [int(word) for word in sys.argv[1:]] or [48, 64, 128, 288]:
        people = max(2, 32 * 128 * 128 // (size * size))
        wall, cpu = 0.0, 0.0
        for _ in range(4):  # the best of four: other processes only ever make it slower
            start, start_cpu = time.perf_counter(), time.process_time()
            faces.render(people, 4, size)
            wall = max(wall, 4 * people / (time.perf_counter() - start))
            cpu = max(cpu, 4 * people / (time.process_time() - start_cpu))
        print(f"{size:4d} px  {wall:7.1f} images/s  {cpu:7.1f} images per second of processor time", flush=True)
