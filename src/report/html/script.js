'use strict';
// Shows what was going on at the moment under the pointer, and opens what a link leads to. The page says everything without it.
{
  const report = JSON.parse(document.getElementById('report').textContent);
  const waterfall = document.querySelector('.waterfall');

  const duration = (seconds) => {
    const whole = Math.floor(seconds);
    const two = (number) => String(number).padStart(2, '0');
    if (whole < 60) return `${seconds.toFixed(1)} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} m ${two(whole % 60)} s`;
    return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} m`;
  };
  const size = (bytes) => {
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
    let unit = 0;
    while (bytes >= 1024 && unit + 1 < units.length) { bytes /= 1024; unit += 1; }
    return `${unit ? bytes.toFixed(1) : bytes} ${units[unit]}`;
  };
  const during = (thing, at) => thing.start !== null && thing.start <= at && (thing.duration === null || at < thing.start + thing.duration);

  if (waterfall) {
    const readout = document.getElementById('readout');
    const cursor = document.createElement('div');
    cursor.id = 'cursor';
    cursor.hidden = true;
    waterfall.append(cursor);
    const show = (event) => {
      const track = waterfall.querySelector('.axis .track').getBoundingClientRect();
      const share = (event.clientX - track.left) / track.width;
      if (share < 0 || share > 1) { hide(); return; }
      const at = share * report.run.wall;
      const box = waterfall.getBoundingClientRect();
      cursor.hidden = false;
      cursor.style.left = `${event.clientX - box.left}px`;
      cursor.style.height = `${readout.offsetTop}px`;
      const index = Math.floor(at / report.timeline.step);
      const parts = [`at ${duration(at)}`];
      if (index < report.timeline.cores.length) {
        parts.push(`${report.timeline.cores[index].toFixed(1)} cores, ${size(report.timeline.memory[index])}`);
      }
      const busy = [];
      for (const stage of report.stages) {
        if (!during(stage, at)) continue;
        const steps = stage.steps.filter((step) => step.kind !== 'pool' && during(step, at)).map((step) => step.name);
        busy.push(steps.length ? `${stage.name} (${steps.slice(0, 3).join(', ')}${steps.length > 3 ? ', …' : ''})` : stage.name);
      }
      if (busy.length) parts.push(busy.join(' · '));
      readout.textContent = parts.join(' · ');
    };
    const hide = () => { cursor.hidden = true; readout.textContent = '\u00a0'; };
    waterfall.addEventListener('pointermove', show);
    waterfall.addEventListener('pointerdown', show);
    waterfall.addEventListener('pointerleave', hide);
  }

  const open = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === 'DETAILS') { target.open = true; target.scrollIntoView(); }
  };
  addEventListener('hashchange', open);
  open();
  document.documentElement.dataset.ready = report.run.id;
}
