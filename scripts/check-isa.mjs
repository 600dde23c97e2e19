// Looks into built machine code for instructions that a plain x86-64 processor does not have: they may stand only in
// functions that are chosen at run time (onAvx2<...>, onAvx512<...> in native/cpu/simd.h). What the linker kept of inline
// functions and templates, static initialisers included, is looked at too, because the whole addon is.
//   node scripts/check-isa.mjs [FILE ...]     default: build/Release/tlora.node
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';

/** Beyond SSE2. tzcnt is not among them: compilers write it for bsf, as which older processors read it. */
const NEWER = new RegExp(
  `^(${[
    'v[a-z]+', // AVX and all that came after it, beside the two of VERIFY
    'k(add|and|andn|mov|not|or|ortest|shiftl|shiftr|test|unpck|xnor|xor)(bw|wd|dq|[bwdq])',
    'andn|bextr|bls[ir]|blsmsk|bzhi|mulx|pdep|pext|rorx|sarx|shlx|shrx|lzcnt|popcnt|movbe|crc32|adcx|adox|rdrand|rdseed',
    'addsubp[sd]|haddp[sd]|hsubp[sd]|mov(ddup|shdup|sldup)|lddqu|fisttp',
    'pabs[bwd]|palignr|ph(add|sub)(w|d|sw)|pmaddubsw|pmulhrsw|pshufb|psign[bwd]',
    'blendv?p[sd]|pblend(vb|w)|dpp[sd]|(extract|insert)ps|movntdqa|mpsadbw|packusdw|pcmp(eq|gt)q|pcmp[ei]str[im]',
    'p(extr|insr)[bdq]|phminposuw|p(max|min)(s[bd]|u[wd])|pmov[sz]x[bwdq]+|pmuldq|pmulld|ptest|round[ps][sd]',
    'aes\\w+|pclmul\\w+|sha\\d\\w+',
  ].join('|')})$`,
);
const VERIFY = new Set(['verr', 'verw']);
const CHOSEN = /\bonAvx(2|512)</;

/** Function name to its first newer instruction, and how many functions were chosen ones. */
async function scan(file) {
  const found = new Map();
  const chosen = new Map();
  const child = spawn('objdump', ['--disassemble', '--demangle', '--no-show-raw-insn', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  let current = '';
  for await (const line of createInterface({ input: child.stdout })) {
    const start = /^[0-9a-f]+ <(.*)>:$/.exec(line);
    if (start) current = start[1];
    const word = /^ *[0-9a-f]+:\t(?:(?:lock|rep|repz|repnz|data16|cs|ds|notrack|bnd) )*([a-z]\w*)/.exec(line)?.[1];
    if (!word || VERIFY.has(word) || !NEWER.test(word)) continue;
    const list = CHOSEN.test(current) ? chosen : found;
    if (!list.has(current)) list.set(current, line.trim().replace(/\s+/g, ' '));
  }
  const [status] = await closed;
  if (status !== 0) throw new Error(`objdump ${file}: exit status ${status}`);
  return { found, chosen: chosen.size };
}

if (process.arch !== 'x64' || spawnSync('objdump', ['--version'], { stdio: 'ignore' }).status !== 0) {
  console.log('check-isa: needs objdump and x86-64; nothing was looked at');
} else {
  const files = process.argv.slice(2);
  if (files.length === 0) files.push(path.resolve(import.meta.dirname, '../build/Release/tlora.node'));
  for (const file of files) {
    const { found, chosen } = await scan(file);
    console.log(
      `check-isa: ${file}: ${chosen} functions for newer processors, ${found.size} others with their instructions`,
    );
    for (const [name, instruction] of found) console.log(`  ${name}\n    ${instruction}`);
    if (found.size > 0) process.exitCode = 1;
  }
}
