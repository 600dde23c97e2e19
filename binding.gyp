{
  "targets": [
    {
      "target_name": "tlora",
      "sources": [
        "<!@(node -p \"['core','addon','cpu'].flatMap(d => require('fs').readdirSync('native/' + d).filter(f => f.endsWith('.cpp') && f !== 'run_plan.cpp').map(f => 'native/' + d + '/' + f)).join(' ')\")"
      ],
      "include_dirs": ["native"],
      "dependencies": ["<!(node -p \"require('node-addon-api').targets\"):node_addon_api_except_all"],
      "defines": ["NAPI_VERSION=9", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
      "cflags_cc": ["-std=gnu++20", "-O3", "-fvisibility=hidden", "-Wno-psabi", "-ffp-contract=off"],
      "libraries": ["-ldl", "-lpthread"],
      "xcode_settings": {
        "CLANG_CXX_LANGUAGE_STANDARD": "gnu++20",
        "GCC_OPTIMIZATION_LEVEL": "3",
        "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
        "OTHER_CPLUSPLUSFLAGS": ["-ffp-contract=off"],
        "MACOSX_DEPLOYMENT_TARGET": "12.0"
      }
    }
  ]
}
